import { type Ipv4, ipv4FromNumber, ipv4ToNumber, parseIpv4 } from './ipv4.ts';

/** An IPv4 subnet: the network address (host bits zero) and the prefix length in bits. */
export interface Subnet {
  readonly network: Ipv4;
  readonly prefix: number;
}

const maskNumber = (prefix: number): number => (prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0);

/** The subnet that `address` lies in when the netmask has `prefix` bits. */
export function subnetOf(address: Ipv4, prefix: number): Subnet {
  return { network: ipv4FromNumber((ipv4ToNumber(address) & maskNumber(prefix)) >>> 0), prefix };
}

/** Parses `a.b.c.d/n`; host bits are allowed and cleared. */
export function parseSubnet(text: string): Subnet | undefined {
  const [address, prefix, rest] = text.split('/');
  const parsed = parseIpv4(address ?? '');
  if (!parsed || rest !== undefined || !/^\d{1,2}$/.test(prefix ?? '') || Number(prefix) > 32)
    return undefined;
  return subnetOf(parsed, Number(prefix));
}

export function formatSubnet(subnet: Subnet): string {
  return `${subnet.network}/${subnet.prefix}`;
}

export function netmask(subnet: Subnet): Ipv4 {
  return ipv4FromNumber(maskNumber(subnet.prefix));
}

/** The directed broadcast address, all host bits one. */
export function broadcastAddress(subnet: Subnet): Ipv4 {
  return ipv4FromNumber((ipv4ToNumber(subnet.network) | ~maskNumber(subnet.prefix)) >>> 0);
}

export function subnetContains(subnet: Subnet, address: Ipv4): boolean {
  return ((ipv4ToNumber(address) ^ ipv4ToNumber(subnet.network)) & maskNumber(subnet.prefix)) === 0;
}

/** True for an address a host of the subnet may have: inside it, and neither its network nor its broadcast address. */
export function isHostAddress(subnet: Subnet, address: Ipv4): boolean {
  const different = (ipv4ToNumber(address) ^ ipv4ToNumber(subnet.network)) >>> 0;
  const mask = maskNumber(subnet.prefix);
  if ((different & mask) !== 0) return false;
  return subnet.prefix >= 31 || (different !== 0 && different !== ~mask >>> 0);
}
