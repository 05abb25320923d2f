import type { InterfaceAddress } from '../fleet/networks.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import { run } from './run.ts';

interface IpLink {
  readonly ifname: string;
  readonly mtu: number;
  readonly addr_info: ReadonlyArray<{
    readonly local: string;
    readonly prefixlen: number;
    readonly scope: string;
  }>;
}

/**
 * Every IPv4 address of this machine (of this network namespace) but loopback's, in the kernel's order. By iproute2
 * and not by Node, which leaves out an interface whose cable is not plugged in yet.
 */
export async function interfaceAddresses(): Promise<InterfaceAddress[]> {
  const links = JSON.parse(await run('ip', ['-4', '-j', 'address', 'show'])) as Array<Partial<IpLink>>;
  return links.flatMap(({ ifname = '', mtu = 1500, addr_info = [] }) =>
    addr_info
      .filter(({ scope }) => scope !== 'host')
      .map(({ local, prefixlen }) => ({ interface: ifname, address: local as Ipv4, prefix: prefixlen, mtu })),
  );
}
