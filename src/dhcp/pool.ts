import { type BootView, nodeByMac } from '../model/boot-view.ts';
import type { Instant, Lease, LeaseReader } from '../model/lease.ts';
import type { AddressRange, Network } from '../model/network.ts';
import type { Node } from '../model/node.ts';
import { fnv1a } from '../net/fnv1a.ts';
import { type Ipv4, ipv4FromNumber, ipv4ToNumber } from '../net/ipv4.ts';
import type { Mac } from '../net/mac.ts';
import { isHostAddress } from '../net/subnet.ts';

/** Who looks for an address, and what is known of the addresses. */
export interface Seeker {
  readonly mac: Mac;
  /** The node this MAC is, when it was added. */
  readonly node: Node | undefined;
  readonly network: Network;
  readonly view: BootView;
  readonly leases: LeaseReader;
  readonly now: Instant;
}

/**
 * The address a client is to have: the one reserved for its node, else the first of its `wishes` (its previous
 * address, the one it asks for) that it may have, else one of the pool that depends on its MAC alone, so that a
 * client keeps its address even when its lease was forgotten. `undefined` when the pool is full.
 */
export function chooseAddress(seeker: Seeker, wishes: ReadonlyArray<Ipv4 | undefined>): Ipv4 | undefined {
  return (
    usableReservation(seeker) ??
    wishes.find((wish) => wish !== undefined && isEligible(seeker, wish)) ??
    probePool(seeker)
  );
}

/** The node's reserved address, when it lies on this network and nobody else holds it. */
export function usableReservation(seeker: Seeker): Ipv4 | undefined {
  const { node, network } = seeker;
  if (!node?.ip || !isHostAddress(network.subnet, node.ip) || isTakenByUs(seeker, node.ip)) return undefined;
  return isFree(seeker, node.ip) ? node.ip : undefined;
}

/** Whether the client may have just this address now. */
export function isGrantable(seeker: Seeker, address: Ipv4): boolean {
  const reservation = usableReservation(seeker);
  return reservation ? reservation === address : isEligible(seeker, address);
}

/** An address of the pool that is nobody else's. */
function isEligible(seeker: Seeker, address: Ipv4): boolean {
  return isInPool(seeker.network, address) && isAvailable(seeker, address) && isFree(seeker, address);
}

/** From a hash of the MAC on. An address nobody ever had goes before one that another client left. */
function probePool(seeker: Seeker): Ipv4 | undefined {
  const { leases, mac, network, now } = seeker;
  const { pool } = network;
  if (!pool) return undefined;
  const first = ipv4ToNumber(pool.first);
  const size = ipv4ToNumber(pool.last) - first + 1;
  const start = ipv4FromNumber(first + (fnv1a(mac) % size));
  const suits = (address: Ipv4) => isFree(seeker, address) && isAvailable(seeker, address);
  return leases.findVacant(pool, start, now, suits) ?? takeBack(seeker, pool);
}

/**
 * A node that was added goes before strangers who asked and never came back: a flood of invented MACs holds the whole
 * pool, minute by minute, and nobody uses an address of it. Should one of them come back after all, it is refused.
 */
function takeBack(seeker: Seeker, pool: AddressRange): Ipv4 | undefined {
  const { node, leases, view } = seeker;
  const hold = node && leases.oldestHold(pool);
  if (!hold || nodeByMac(view, hold.mac)) return undefined;
  return isAvailable(seeker, hold.address) ? hold.address : undefined;
}

function isInPool({ pool }: Network, address: Ipv4): boolean {
  if (!pool) return false;
  const number = ipv4ToNumber(address);
  return number >= ipv4ToNumber(pool.first) && number <= ipv4ToNumber(pool.last);
}

/** No lease stands against it: none at all, this client's own, or an expired one that is kept for no node. */
export function isFree({ leases, view, mac, now }: Seeker, address: Ipv4): boolean {
  const lease = leases.byAddress(address);
  if (!lease) return true;
  if (lease.expiresAt > now) return lease.mac === mac && lease.state !== 'declined';
  return lease.mac === mac || !isKeptForNode(view, lease);
}

/**
 * A node keeps its address when its lease has expired: the kernel's `ip=dhcp` never renews (net/ipv4/ipconfig.c),
 * and a second machine with the address of a running Pi hangs its NFS root. Until it boots with another one, as when
 * another is reserved for it, or is removed. A serial that some MAC told counts only while the node's own MAC is not
 * known: whoever forges it would get the pool for ever, address by address.
 */
function isKeptForNode(view: BootView, lease: Lease): boolean {
  if (lease.state === 'declined') return false;
  if (nodeByMac(view, lease.mac)) return true;
  const told = lease.serial && view.nodes.get(lease.serial);
  return told !== undefined && told.mac === undefined && (told.ip ?? lease.address) === lease.address;
}

/** Not ours, not the network's, and not reserved for another node. */
function isAvailable(seeker: Seeker, address: Ipv4): boolean {
  const owner = seeker.view.nodesByIp.get(address);
  if (owner && owner.serial !== seeker.node?.serial) return false;
  return isHostAddress(seeker.network.subnet, address) && !isTakenByUs(seeker, address);
}

function isTakenByUs({ network, view }: Seeker, address: Ipv4): boolean {
  if (address === network.router || network.dns.includes(address)) return true;
  return view.networks.values().some((each) => each.address === address);
}
