import type { Config } from '../config.ts';
import { Refusal } from '../model/command.ts';
import type { AddressRange, Network } from '../model/network.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import { formatSubnet, isHostAddress, type Subnet, subnetContains, subnetOf } from '../net/subnet.ts';

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
      checkAddresses(settings, subnet, where, `interfaces.${name}`);
      const { dhcp, pool, router, dns, lease: leaseSeconds, romDelay } = settings;
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
        ...(romDelay === undefined ? {} : { romDelayMs: romDelay }),
      };
      const relayed = resolveRelayed(network, settings, present);
      return [name, relayed.length > 0 ? { ...network, relayed } : network] as const;
    }),
  );
}

/** The networks behind relays: our address, mode and defaults are those of the interface that the relays send to. */
function resolveRelayed(
  own: Network,
  settings: Config['interfaces'][string],
  present: readonly InterfaceAddress[],
): Network[] {
  return (settings.relayed ?? []).map(({ subnet, pool, router, dns, lease }, index, all) => {
    const key = `interfaces.${own.interface}.relayed[${index}]`;
    const text = formatSubnet(subnet);
    checkAddresses({ pool, router }, subnet, `relayed to "${own.interface}" (${text})`, key);
    const others = [
      ...present.map(({ address, prefix }) => subnetOf(address, prefix)),
      ...all.slice(0, index).map((each) => each.subnet),
    ];
    const clash = others.find((other) => subnetsOverlap(other, subnet));
    if (clash) {
      const problem = `The relayed subnet ${text} and ${formatSubnet(clash)} have addresses in common`;
      throw new Refusal(problem, `Correct ${key}.subnet: what is on a wire of this machine needs no relay.`);
    }
    return {
      interface: own.interface,
      address: own.address,
      subnet,
      mtu: own.mtu,
      dhcp: own.dhcp,
      dns: dns ?? own.dns,
      leaseSeconds: lease ?? own.leaseSeconds,
      ...(pool ? { pool } : {}),
      ...(router ? { router } : {}),
      ...(own.romDelayMs === undefined ? {} : { romDelayMs: own.romDelayMs }),
    };
  });
}

/** @throws Refusal when the pool or the router is not of the subnet. */
function checkAddresses(
  { pool, router }: { pool?: AddressRange | undefined; router?: Ipv4 | undefined },
  subnet: Subnet,
  where: string,
  key: string,
): void {
  for (const edge of pool ? [pool.first, pool.last] : []) {
    if (isHostAddress(subnet, edge)) continue;
    throw new Refusal(
      `The pool address ${edge} is outside the subnet ${where}`,
      `Correct ${key}.pool in the configuration.`,
    );
  }
  if (router && !isHostAddress(subnet, router)) {
    throw new Refusal(
      `The router ${router} is outside the subnet ${where}`,
      `Correct ${key}.router in the configuration.`,
    );
  }
}

const subnetsOverlap = (a: Subnet, b: Subnet): boolean =>
  subnetContains(a, b.network) || subnetContains(b, a.network);

function noSuchInterface(name: string, present: readonly InterfaceAddress[]): Refusal {
  const names = [...new Set(present.map((candidate) => candidate.interface))].join(', ') || 'none';
  return new Refusal(
    `The interface "${name}" is missing or has no IPv4 address`,
    `Interfaces with an address: ${names}. Correct "interfaces" in the configuration, or give it one: ip address add ADDRESS/BITS dev ${name}`,
  );
}
