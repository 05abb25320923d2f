import { dhcpHabits, OFFER_HOLD_MS } from '../boot/firmware.ts';
import type { Instant, Lease, LeaseChange } from '../model/lease.ts';
import { type Ipv4, parseIpv4 } from '../net/ipv4.ts';
import type { Inquiry } from './decision.ts';
import { OPTION, readText } from './options.ts';

/** For a client that confirms at once, or is not told to boot. */
const OFFER_MS = 60_000;
/** How long an address rests after a client found somebody else using it. */
const QUARANTINE_MS = 10 * 60_000;

const HOST_NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/i;

/**
 * The lease this client holds or held last; it may have expired. Keyed by the hardware address alone, whatever
 * option 61 says: firmware, kernel and system send different client identifiers and are one machine.
 */
export function leaseOf({ leases, mac, arrival }: Inquiry): Lease | undefined {
  const lease = leases.byMac(mac, arrival.interface);
  return lease?.state === 'declined' ? undefined : lease;
}

/**
 * Holds an address that is being offered. A lease the client already has on it is never made shorter or weaker.
 * Who must ask again before it uses the address is held in memory alone; a Pi 3 that boots never asks again.
 */
export function holdOffer(inquiry: Inquiry, address: Ipv4): readonly LeaseChange[] {
  const { now, client, isServed } = inquiry;
  const boots = client.kind === 'pi' && isServed;
  const until = now + (boots ? OFFER_HOLD_MS : OFFER_MS);
  const held = leaseOf(inquiry);
  const isHeld = held?.address === address && held.expiresAt > now;
  const changes = isHeld
    ? put(inquiry, address, held.state, Math.max(until, held.expiresAt))
    : put(inquiry, address, 'offered', until);
  const asksAgain = !boots || dhcpHabits(client.model).confirms.value;
  return asksAgain ? changes.map((change) => ({ ...change, volatile: true })) : changes;
}

/** Binds an address for the network's lease time, counted from now. */
export function bind(inquiry: Inquiry, address: Ipv4): readonly LeaseChange[] {
  return put(inquiry, address, 'bound', inquiry.now + inquiry.network.leaseSeconds * 1000);
}

/** Ends a lease but keeps its record: the client can have the address back, and the serial it told is not lost. */
export function expire(lease: Lease, now: Instant): readonly LeaseChange[] {
  return [{ kind: 'put', lease: { ...lease, expiresAt: now } }];
}

/** Keeps everybody off an address that somebody unknown uses (RFC 2131 section 4.3.3). */
export function quarantine(lease: Lease, now: Instant): readonly LeaseChange[] {
  return [{ kind: 'put', lease: { ...lease, state: 'declined', expiresAt: now + QUARANTINE_MS } }];
}

/** One client has one address per network: what it had before is given up. */
function put(
  inquiry: Inquiry,
  address: Ipv4,
  state: Lease['state'],
  expiresAt: Instant,
): readonly LeaseChange[] {
  const { mac, arrival, identity } = inquiry;
  const before = leaseOf(inquiry);
  const hostname = hostNameOf(inquiry) ?? before?.hostname;
  const lease: Lease = {
    address,
    mac,
    interface: arrival.interface,
    state,
    expiresAt,
    ...(identity.serial ? { serial: identity.serial } : {}),
    ...(hostname ? { hostname } : {}),
  };
  const given: LeaseChange = { kind: 'put', lease };
  return before && before.address !== address
    ? [{ kind: 'remove', address: before.address }, given]
    : [given];
}

/** What the client calls itself. The kernel's `ip=dhcp` may send its address as its name: that is none. */
function hostNameOf({ node, message }: Inquiry): string | undefined {
  if (node) return node.name;
  const text = readText(message.options, OPTION.hostName);
  return text && HOST_NAME.test(text) && !parseIpv4(text) ? text : undefined;
}
