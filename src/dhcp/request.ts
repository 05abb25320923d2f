import type { Instant, Lease, LeaseChange } from '../model/lease.ts';
import { type Ipv4, UNSPECIFIED } from '../net/ipv4.ts';
import { isHostAddress } from '../net/subnet.ts';
import { expire, leaseOf } from './binding.ts';
import type { Decision, Inquiry } from './decision.ts';
import { acknowledge, refuse } from './grant.ts';
import { OPTION, readIpv4 } from './options.ts';
import { isFree, isGrantable, usableReservation } from './pool.ts';

const OTHER_NETWORK = 'the address is not of this network';
const OTHER_ADDRESS = "the address is another client's, or was never this client's";

/** DHCPREQUEST in the four states of a client that RFC 2131 section 4.3.2 tells apart by what the message holds. */
export function decideRequest(inquiry: Inquiry): Decision {
  const { message } = inquiry;
  const server = readIpv4(message.options, OPTION.serverIdentifier);
  const requested = readIpv4(message.options, OPTION.requestedIpAddress);
  if (server) return decideSelecting(inquiry, server, requested);
  if (message.ciaddr !== UNSPECIFIED) return decideRenewing(inquiry, message.ciaddr);
  if (requested) return decideInitReboot(inquiry, requested);
  return { kind: 'ignore', reason: 'it requests no address' };
}

/** After an offer. */
function decideSelecting(inquiry: Inquiry, server: Ipv4, requested: Ipv4 | undefined): Decision {
  const held = leaseOf(inquiry);
  if (server !== inquiry.server) return declinedOffer(held, server, inquiry.now);
  // Option 50 is a MUST here (table 4); some clients that rebind name themselves in ciaddr instead.
  const { ciaddr } = inquiry.message;
  const address = requested ?? (ciaddr === UNSPECIFIED ? held?.address : ciaddr);
  if (!address) return { kind: 'ignore', reason: 'it requests no address' };
  if (!isHostAddress(inquiry.network.subnet, address)) return refuse(inquiry, OTHER_NETWORK);
  const isHeld = held?.address === address && held.expiresAt > inquiry.now;
  return isHeld || isGrantable(inquiry, address)
    ? acknowledge(inquiry, address)
    : refuse(inquiry, OTHER_ADDRESS);
}

function declinedOffer(held: Lease | undefined, server: Ipv4, now: Instant): Decision {
  const reason = `it takes the offer of the server ${server}`;
  return held?.state === 'offered' && held.expiresAt > now
    ? { kind: 'silent', leaseChanges: inMemory(expire(held, now)), reason }
    : { kind: 'ignore', reason };
}

/** What is worth no write to the disk: forgotten in a restart, the offer runs out by itself. */
const inMemory = (changes: readonly LeaseChange[]): readonly LeaseChange[] =>
  changes.map((change) => ({ ...change, volatile: true }));

/** A client that remembers an address from before. Of a client we know nothing about another server may know. */
function decideInitReboot(inquiry: Inquiry, requested: Ipv4): Decision {
  if (!isHostAddress(inquiry.network.subnet, requested)) return refuse(inquiry, OTHER_NETWORK);
  const { leases, mac, arrival } = inquiry;
  // What it declined is known by the address alone: it is nobody's.
  const isKnown = leases.byMac(mac, arrival.interface) || leases.byAddress(requested)?.mac === mac;
  const reservation = usableReservation(inquiry);
  if (!isKnown && !reservation)
    return { kind: 'ignore', reason: 'it asks for an address from before, and we know nothing of it' };
  const isIts = requested === reservation || requested === leaseOf(inquiry)?.address;
  return isIts && isGrantable(inquiry, requested)
    ? acknowledge(inquiry, requested)
    : refuse(inquiry, OTHER_ADDRESS);
}

/**
 * RENEWING and REBINDING: the client uses the address now, with its root file system behind it. So it may keep
 * what it has even when the pool or the reservations changed meanwhile; its next boot follows them. It may also
 * keep an address we forgot, if that is ours to give and nobody else's.
 */
function decideRenewing(inquiry: Inquiry, ciaddr: Ipv4): Decision {
  if (!isHostAddress(inquiry.network.subnet, ciaddr)) return refuse(inquiry, OTHER_NETWORK);
  if (leaseOf(inquiry)?.address === ciaddr || isGrantable(inquiry, ciaddr))
    return acknowledge(inquiry, ciaddr);
  if (!isFree(inquiry, ciaddr)) return refuse(inquiry, OTHER_ADDRESS);
  return { kind: 'ignore', reason: 'it renews an address that we did not give' };
}
