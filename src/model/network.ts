import type { Ipv4 } from '../net/ipv4.ts';
import type { Subnet } from '../net/subnet.ts';

/** First and last address of a range, both included. */
export interface AddressRange {
  readonly first: Ipv4;
  readonly last: Ipv4;
}

/** One configured interface, with the address it has now. */
export interface Network {
  readonly interface: string;
  /** Our own address there: DHCP options 54 and 66, siaddr, and the NFS server the nodes mount from. */
  readonly address: Ipv4;
  readonly subnet: Subnet;
  /** Of the interface, in bytes: no larger IP packet leaves it in one piece. */
  readonly mtu: number;
  readonly dhcp: 'off' | 'proxy' | 'full';
  /** `full` only, as are the next three. */
  readonly pool?: AddressRange;
  readonly router?: Ipv4;
  readonly dns: readonly Ipv4[];
  readonly leaseSeconds: number;
  /** Networks behind relay agents, which send what they hear to this interface; every field but these is `own`'s. */
  readonly relayed?: readonly Network[];
  /** How long the answers to a firmware that locks up on a fast one are held back, when a person set it. */
  readonly romDelayMs?: number;
}
