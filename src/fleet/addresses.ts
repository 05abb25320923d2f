import { z } from 'zod';
import { type BootView, nodeByMac } from '../model/boot-view.ts';
import type { Instant, Lease, LeaseReader } from '../model/lease.ts';
import type { Log } from '../model/log.ts';
import type { Node } from '../model/node.ts';
import { throttle } from '../model/throttle.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import type { Mac } from '../net/mac.ts';
import { matchSerial, type Serial } from '../net/serial.ts';
import type { Store, Write } from './store.ts';

const PREFIX = 'address/';
const LINES_INTERVAL_MS = 10_000;

const placeSchema = z.object({ address: z.string().transform((text) => text as Ipv4) });

export interface AddressesPorts {
  readonly store: Store;
  readonly view: () => BootView;
  readonly leases: LeaseReader;
  /** The neighbour table's answer: whose card answers for an address on a wire of ours. */
  readonly neighbourMac?: ((address: Ipv4) => Promise<Mac | undefined>) | undefined;
  readonly log: Log;
  readonly now?: () => Instant;
}

export type MoveListener = (serial: Serial, address: Ipv4) => void;

/**
 * Where each node is. The newest that was seen holds: a lease that its MAC was bound to, or an address that its own MAC
 * fetched its boot files or its identity from. It holds beyond the end of the lease, as a kernel never renews it, and while
 * another is reserved that the node has not booted with yet; until the address is somebody else's.
 */
export class Addresses {
  readonly #ports: AddressesPorts;
  readonly #now: () => Instant;
  readonly #places = new Map<Serial, Ipv4>();
  readonly #serials = new Map<Ipv4, Serial>();
  /** When its boot files, or its identity, were last fetched from where it is. */
  readonly #seenAt = new Map<Serial, Instant>();
  readonly #listeners = new Set<MoveListener>();
  readonly #unstored: (tell: (left: number) => void) => void;

  constructor(ports: AddressesPorts) {
    this.#ports = ports;
    this.#now = ports.now ?? Date.now;
    this.#unstored = throttle(LINES_INTERVAL_MS, this.#now);
    for (const { key, value } of ports.store.list(PREFIX)) {
      const serial = matchSerial(key.slice(PREFIX.length));
      const place = placeSchema.safeParse(value).data;
      if (serial && place) this.#put(serial, place.address);
    }
    ports.store.watch('lease/', (writes) => {
      for (const write of writes) if (write.kind === 'put') this.#leased(write.value as Lease);
    });
    ports.store.watch('node/', (writes) => {
      for (const { kind, key } of writes) if (kind === 'delete') this.#forget(key.slice('node/'.length));
    });
  }

  /** `undefined` while nothing tells where it is. */
  addressOf(node: Node): Ipv4 | undefined {
    const place = this.#places.get(node.serial);
    if (place !== undefined && this.#isIts(node, place)) return place;
    const told = node.ip ?? this.#leasedTo(node);
    return told !== undefined && !this.#isAnothers(told, node) ? told : undefined;
  }

  /** The node that is at an address, by the same rules. */
  nodeAt(address: Ipv4): Node | undefined {
    const view = this.#ports.view();
    const seen = this.#serials.get(address);
    const lease = this.#leaseOf(address);
    const candidates = [
      seen && view.nodes.get(seen),
      view.nodesByIp.get(address),
      lease && nodeByMac(view, lease.mac),
    ];
    return candidates.find((node) => node && this.addressOf(node) === address);
  }

  /**
   * A boot file of the node, or its identity, was asked for from this address. Who merely asks for a file in a node's name
   * moves nobody: the MAC behind the address has to be known, and the node's.
   */
  async located(serial: Serial, address: Ipv4): Promise<void> {
    const { view } = this.#ports;
    if (!view().nodes.has(serial)) return;
    if (this.#places.get(serial) === address) {
      this.#seenAt.set(serial, this.#now());
      return;
    }
    const mac = await this.macOf(address);
    if (!mac || nodeByMac(view(), mac)?.serial !== serial) return;
    this.#seenAt.set(serial, this.#now());
    this.#move(serial, address);
  }

  /** By the leases that run, else by the kernel's neighbours; `undefined` where nobody knows, as behind a router. */
  async macOf(address: Ipv4): Promise<Mac | undefined> {
    const lease = this.#leaseOf(address);
    const isHeld = lease && lease.state !== 'declined' && lease.expiresAt > this.#now();
    return isHeld ? lease.mac : await this.#ports.neighbourMac?.(address).catch(() => undefined);
  }

  /** What is known of an address whose MAC nobody tells: that the node had the last lease of it, or that it is reserved for it. */
  isKnownAs(address: Ipv4, node: Node): boolean {
    const lease = this.#leaseOf(address);
    return lease ? this.#isOf(lease, node) : node.ip === address;
  }

  /** When the node last fetched a boot file, or its identity, from where it is, in this run of the service. */
  seenAt(serial: Serial): Instant | undefined {
    return this.#seenAt.get(serial);
  }

  /** Called when a node is somewhere else than before. Returns the way to stop it. */
  onMoved(listener: MoveListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Of an earlier `dhcp: full` leases are left over, which nobody renews: another server has given the addresses since. */
  #leaseOf(address: Ipv4): Lease | undefined {
    const lease = this.#ports.leases.byAddress(address);
    return lease && this.#ports.view().networks.get(lease.interface)?.dhcp === 'full' ? lease : undefined;
  }

  #isOf({ state, mac }: Lease, { serial }: Node): boolean {
    return state !== 'declined' && nodeByMac(this.#ports.view(), mac)?.serial === serial;
  }

  #leased({ state, mac, address }: Lease): void {
    const node = state === 'bound' ? nodeByMac(this.#ports.view(), mac) : undefined;
    if (node) this.#move(node.serial, address);
  }

  #leasedTo({ mac }: Node): Ipv4 | undefined {
    if (mac === undefined) return undefined;
    for (const { interface: name, dhcp } of this.#ports.view().networks.values()) {
      const lease = dhcp === 'full' ? this.#ports.leases.byMac(mac, name) : undefined;
      if (lease?.state === 'bound') return lease.address;
    }
    return undefined;
  }

  /** Another node is there, as while it runs with an address that was given to this one since. */
  #isAnothers(address: Ipv4, { serial }: Node): boolean {
    const there = this.#serials.get(address);
    const other = there === undefined || there === serial ? undefined : this.#ports.view().nodes.get(there);
    return other !== undefined && this.#isIts(other, address);
  }

  /** A lease says whose an address is; without one, a reservation does. */
  #isIts(node: Node, address: Ipv4): boolean {
    const view = this.#ports.view();
    const lease = this.#leaseOf(address);
    if (lease) {
      if (this.#isOf(lease, node)) return true;
      if (lease.expiresAt > this.#now()) return false;
    }
    const reserved = view.nodesByIp.get(address);
    return reserved === undefined || reserved.serial === node.serial;
  }

  #move(serial: Serial, address: Ipv4): void {
    if (this.#places.get(serial) === address) return;
    const evicted = this.#serials.get(address);
    this.#put(serial, address);
    this.#keep([
      { kind: 'put', key: `${PREFIX}${serial}`, value: { address } },
      ...(evicted === undefined ? [] : [{ kind: 'delete' as const, key: `${PREFIX}${evicted}` }]),
    ]);
    for (const listener of this.#listeners) listener(serial, address);
  }

  /** One place per node, and one node per place. */
  #put(serial: Serial, address: Ipv4): void {
    const before = this.#places.get(serial);
    if (before !== undefined) this.#serials.delete(before);
    const evicted = this.#serials.get(address);
    if (evicted !== undefined) this.#places.delete(evicted);
    this.#places.set(serial, address);
    this.#serials.set(address, serial);
  }

  #forget(text: string): void {
    const serial = matchSerial(text);
    if (serial) this.#seenAt.delete(serial);
    const place = serial && this.#places.get(serial);
    if (!serial || place === undefined) return;
    this.#places.delete(serial);
    this.#serials.delete(place);
    this.#keep([{ kind: 'delete', key: `${PREFIX}${serial}` }]);
  }

  /** Nobody waits: what is lost is seen again at the node's next boot. */
  #keep(writes: readonly Write[]): void {
    this.#ports.store
      .transact({ writes })
      .catch((error: unknown) =>
        this.#unstored((left) =>
          this.#ports.log.warn(
            { id: 'ADDRESS_NOT_STORED', err: error, left },
            'where a node is could not be stored',
          ),
        ),
      );
  }
}
