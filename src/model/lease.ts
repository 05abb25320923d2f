import type { Ipv4 } from '../net/ipv4.ts';
import type { Mac } from '../net/mac.ts';
import type { Serial } from '../net/serial.ts';
import type { AddressRange } from './network.ts';

/** Milliseconds since 1970-01-01 UTC, as `Date.now()` gives them. */
export type Instant = number;

/**
 * One address and who holds it.
 *
 * `offered`: held for a client that has not confirmed. Pi 3 firmware uses an offered address without ever
 * sending DHCPREQUEST, so such an offer is a lease in all but name and is stored like one.
 * `declined`: somebody else on the wire answers for it (RFC 2131 section 4.3.3); nobody gets it until `expiresAt`.
 */
export interface Lease {
  readonly address: Ipv4;
  readonly mac: Mac;
  readonly interface: string;
  readonly state: 'offered' | 'bound' | 'declined';
  readonly expiresAt: Instant;
  /** The Pi whose firmware asked with this MAC, learnt from option 97: later stages send the MAC alone. */
  readonly serial?: Serial;
  readonly hostname?: string;
}

/**
 * What a DHCP decision wants done to the leases. One address has one lease: a put replaces what was there.
 *
 * `volatile`: a hold for a client that asks again before it uses the address. Everybody is kept off the address at once,
 * but a reply need not wait for the disk, and a restart may forget it.
 */
export type LeaseChange =
  | { readonly kind: 'put'; readonly lease: Lease; readonly volatile?: boolean }
  | { readonly kind: 'remove'; readonly address: Ipv4 };

/** What a DHCP decision may know of the leases: a synchronous, consistent reading. */
export interface LeaseReader {
  byAddress(address: Ipv4): Lease | undefined;
  /** The client's newest lease on that interface, expired ones included, so that it can have its old address back. */
  byMac(mac: Mac, network: string): Lease | undefined;
  /**
   * The first address that `suits`, in the order of `range` beginning anywhere in it and going round: of those without
   * a lease, else of those whose lease has run out. The answer "none" may be up to a second old.
   */
  findVacant(
    range: AddressRange,
    start: Ipv4,
    now: Instant,
    suits: (address: Ipv4) => boolean,
  ): Ipv4 | undefined;
  /** Of the volatile holds in `range` the one that has waited longest for its client: what may be taken back first. */
  oldestHold(range: AddressRange): Lease | undefined;
}
