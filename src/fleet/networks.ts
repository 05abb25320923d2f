import type { Config } from '../config.ts';
import { Refusal } from '../model/command.ts';
import type { Network } from '../model/network.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import { formatSubnet, isHostAddress, subnetOf } from '../net/subnet.ts';

/** An IPv4 address this machine has. */
export interface InterfaceAddress {
  readonly interface: string;
  readonly address: Ipv4;
  /** Bits of the netmask. */
  readonly prefix: number;
  /** Of the interface, in bytes. */
  readonly mtu: number;
}

/**
 * The configured interfaces with the addresses they have now; the first address of an interface is ours there.
 * @throws Refusal: an interface that is missing or has no address, a pool or router outside its subnet.
 */
export function resolveNetworks(
  configured: Config['interfaces'],
  present: readonly InterfaceAddress[],
): ReadonlyMap<string, Network> {
  return new Map(
    Object.entries(configured).map(([name, settings]) => {
      const own = present.find((candidate) => candidate.interface === name);
      if (!own) throw noSuchInterface(name, present);
      const subnet = subnetOf(own.address, own.prefix);
      const where = `of interface "${name}" (${formatSubnet(subnet)})`;
      for (const edge of settings.pool ? [settings.pool.first, settings.pool.last] : []) {
        if (isHostAddress(subnet, edge)) continue;
        throw new Refusal(
          `The pool address ${edge} is outside the subnet ${where}`,
          `Correct interfaces.${name}.pool in the configuration.`,
        );
      }
      if (settings.router && !isHostAddress(subnet, settings.router)) {
        throw new Refusal(
          `The router ${settings.router} is outside the subnet ${where}`,
          `Correct interfaces.${name}.router in the configuration.`,
        );
      }
      const { dhcp, pool, router, dns, lease: leaseSeconds } = settings;
      const network: Network = {
        interface: name,
        address: own.address,
        subnet,
        mtu: own.mtu,
        dhcp,
        dns,
        leaseSeconds,
        ...(pool ? { pool } : {}),
        ...(router ? { router } : {}),
      };
      return [name, network] as const;
    }),
  );
}

function noSuchInterface(name: string, present: readonly InterfaceAddress[]): Refusal {
  const names = [...new Set(present.map((candidate) => candidate.interface))].join(', ') || 'none';
  return new Refusal(
    `The interface "${name}" is missing or has no IPv4 address`,
    `Interfaces with an address: ${names}. Correct "interfaces" in the configuration, or give it one: ip address add ADDRESS/BITS dev ${name}`,
  );
}
