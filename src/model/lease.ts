import type { Ipv4 } from '../net/ipv4.ts';
import type { Mac } from '../net/mac.ts';
import type { Serial } from '../net/serial.ts';

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

/** What a DHCP decision wants done to the leases. One address has one lease: a put replaces what was there. */
export type LeaseChange =
  | { readonly kind: 'put'; readonly lease: Lease }
  | { readonly kind: 'remove'; readonly address: Ipv4 };

/** What a DHCP decision may know of the leases: a synchronous, consistent reading. */
export interface LeaseReader {
  byAddress(address: Ipv4): Lease | undefined;
  /** The client's newest lease on that interface, expired ones included, so that it can have its old address back. */
  byMac(mac: Mac, network: string): Lease | undefined;
}
