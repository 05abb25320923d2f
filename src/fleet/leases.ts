import type { Instant, Lease, LeaseChange, LeaseReader } from '../model/lease.ts';
import type { AddressRange } from '../model/network.ts';
import { AddressSet } from '../net/address-set.ts';
import { type Ipv4, ipv4FromNumber, ipv4ToNumber } from '../net/ipv4.ts';
import type { Mac } from '../net/mac.ts';
import type { Store, Write } from './store.ts';

const PREFIX = 'lease/';
/** How long it is believed that an exhausted range has nothing vacant, when no lease changes: nodes may change, too. */
const EXHAUSTED_MS = 1000;

/** The changes of one turn of the event loop: they are written together. */
interface Group {
  /** By address, the last change of each, and what memory showed then. */
  readonly changes: Map<Ipv4, { readonly change: LeaseChange; readonly lease: Lease | undefined }>;
  readonly committed: Promise<void>;
}

/**
 * All leases in memory, durable in the store. `commit` changes memory at once, so that the next decision of the
 * same turn already sees the address taken; what it gives resolves when the change is on the disk: only then may the
 * reply leave.
 */
export class LeaseTable implements LeaseReader {
  readonly #store: Store;
  readonly #byAddress = new Map<Ipv4, Lease>();
  readonly #byMac = new Map<Mac, Map<string, Lease>>();
  readonly #addresses = new AddressSet();
  /** What is held in memory alone, the oldest first; the store may have an earlier lease of the same address. */
  readonly #holds = new Map<Ipv4, Lease>();
  /** Ranges without a vacant address, by their first one, until when. */
  readonly #exhausted = new Map<Ipv4, Instant>();
  #group: Group | undefined;
  #groupsBeingWritten = 0;
  /** A write failed and none has succeeded since: what the store shows may never have reached the disk. */
  #isStoreDoubtful = false;

  constructor(store: Store) {
    this.#store = store;
    for (const { value } of store.list(PREFIX)) this.#put(value as Lease);
  }

  byAddress(address: Ipv4): Lease | undefined {
    return this.#byAddress.get(address);
  }

  byMac(mac: Mac, network: string): Lease | undefined {
    return this.#byMac.get(mac)?.get(network);
  }

  /** In the order of their addresses. */
  all(): Lease[] {
    return [...this.#byAddress.values()].sort((a, b) => ipv4ToNumber(a.address) - ipv4ToNumber(b.address));
  }

  findVacant(
    range: AddressRange,
    start: Ipv4,
    now: Instant,
    suits: (address: Ipv4) => boolean,
  ): Ipv4 | undefined {
    if (now < (this.#exhausted.get(range.first) ?? now)) return undefined;
    const [first, from, last] = [range.first, start, range.last].map(ipv4ToNumber) as [
      number,
      number,
      number,
    ];
    for (const [low, high] of [
      [from, last],
      [first, from - 1],
    ] as const) {
      for (const address of this.#addresses.absent(low, high)) if (suits(address)) return address;
    }
    let nextExpiry = now + EXHAUSTED_MS;
    for (let step = 0; step <= last - first; step++) {
      const number = from + step;
      const address = ipv4FromNumber(number > last ? number - last + first - 1 : number);
      const expiresAt = this.#byAddress.get(address)?.expiresAt ?? Number.POSITIVE_INFINITY;
      if (expiresAt > now) nextExpiry = Math.min(nextExpiry, expiresAt);
      else if (suits(address)) return address;
    }
    this.#exhausted.set(range.first, nextExpiry);
    return undefined;
  }

  oldestHold({ first, last }: AddressRange): Lease | undefined {
    const [low, high] = [ipv4ToNumber(first), ipv4ToNumber(last)];
    for (const lease of this.#holds.values()) {
      if (lease.state !== 'offered') continue;
      if (this.#byAddress.get(lease.address) !== lease) continue; // bound or moved since, on its way to the disk
      const number = ipv4ToNumber(lease.address);
      if (number >= low && number <= high) return lease;
    }
    return undefined;
  }

  /**
   * `undefined`: there is nothing to wait for, since nothing of it need be on the disk or all of it is.
   * @throws what the store throws (disk full): then memory is as the store is, or as a hold left it, unless it was
   * changed again since; and nothing counts as stored until the store has taken a write again.
   */
  commit(changes: readonly LeaseChange[]): Promise<void> | undefined {
    const isWritten = this.#mustBeWritten(changes);
    for (const change of changes) this.#apply(change, isWritten);
    if (!isWritten) return undefined;
    this.#group ??= this.#openGroup();
    for (const change of changes) {
      const address = addressOf(change);
      this.#group.changes.set(address, { change, lease: this.#byAddress.get(address) });
    }
    return this.#group.committed;
  }

  /** A hold that moves a client from one address to another is written as a whole: two would be its own after a restart. */
  #mustBeWritten(changes: readonly LeaseChange[]): boolean {
    if (changes.some(({ kind }) => kind === 'remove')) return true;
    return changes.some(
      (change) => change.kind === 'put' && !change.volatile && !this.#isStored(change.lease),
    );
  }

  /** While groups are on their way to the disk, or after one that failed, nobody knows what will be there. */
  #isStored(lease: Lease): boolean {
    const { address } = lease;
    if (this.#isStoreDoubtful || this.#group || this.#groupsBeingWritten > 0 || this.#holds.has(address))
      return false;
    return isSame(this.#byAddress.get(address), lease);
  }

  #openGroup(): Group {
    const changes: Group['changes'] = new Map();
    // A microtask runs when all datagrams that one system call read are decided on.
    return { changes, committed: Promise.resolve().then(() => this.#write(changes)) };
  }

  async #write(changes: Group['changes']): Promise<void> {
    this.#group = undefined;
    this.#groupsBeingWritten++;
    try {
      await this.#store.transact({ writes: [...changes.values()].map(({ change }) => toWrite(change)) });
      this.#isStoreDoubtful = false;
    } catch (error) {
      this.#isStoreDoubtful = true;
      for (const [address, { lease }] of changes) {
        if (this.#byAddress.get(address) === lease) this.#restore(address);
      }
      throw error;
    } finally {
      this.#groupsBeingWritten--;
    }
    for (const [address, { lease }] of changes) {
      if (this.#byAddress.get(address) === lease) this.#holds.delete(address);
    }
  }

  #apply(change: LeaseChange, isWritten: boolean): void {
    if (change.kind === 'remove') this.#remove(change.address);
    else if (isWritten) this.#put(change.lease);
    else if (!isSame(this.#byAddress.get(change.lease.address), change.lease)) this.#hold(change.lease);
  }

  #hold(lease: Lease): void {
    this.#put(lease);
    this.#holds.delete(lease.address); // to the end of the order
    this.#holds.set(lease.address, lease);
  }

  #restore(address: Ipv4): void {
    const lease =
      this.#holds.get(address) ?? (this.#store.get(`${PREFIX}${address}`)?.value as Lease | undefined);
    if (lease) this.#put(lease);
    else this.#remove(address);
  }

  #put(lease: Lease): void {
    this.#unlink(lease.address);
    this.#byAddress.set(lease.address, lease);
    this.#addresses.add(lease.address);
    for (const [first, until] of this.#exhausted) {
      if (lease.expiresAt < until) this.#exhausted.set(first, lease.expiresAt);
    }
    if (lease.state === 'declined') return; // nobody's: the client that declined it must not get it back
    const ofMac = this.#byMac.get(lease.mac);
    if (ofMac) ofMac.set(lease.interface, lease);
    else this.#byMac.set(lease.mac, new Map([[lease.interface, lease]]));
  }

  #remove(address: Ipv4): void {
    this.#unlink(address);
    this.#byAddress.delete(address);
    this.#addresses.delete(address);
    this.#exhausted.clear();
  }

  #unlink(address: Ipv4): void {
    const lease = this.#byAddress.get(address);
    const ofMac = lease && this.#byMac.get(lease.mac);
    if (!ofMac || ofMac.get(lease.interface) !== lease) return;
    ofMac.delete(lease.interface);
    if (ofMac.size === 0) this.#byMac.delete(lease.mac);
  }
}

function toWrite(change: LeaseChange): Write {
  if (change.kind === 'put')
    return { kind: 'put', key: `${PREFIX}${change.lease.address}`, value: change.lease };
  return { kind: 'delete', key: `${PREFIX}${change.address}` };
}

const addressOf = (change: LeaseChange): Ipv4 =>
  change.kind === 'put' ? change.lease.address : change.address;

function isSame(a: Lease | undefined, b: Lease): boolean {
  return (
    a !== undefined &&
    a.mac === b.mac &&
    a.interface === b.interface &&
    a.state === b.state &&
    a.expiresAt === b.expiresAt &&
    a.serial === b.serial &&
    a.hostname === b.hostname
  );
}
