import type { Lease, LeaseChange, LeaseReader } from '../model/lease.ts';
import { type Ipv4, ipv4ToNumber } from '../net/ipv4.ts';
import type { Mac } from '../net/mac.ts';
import type { Store, Write } from './store.ts';

const PREFIX = 'lease/';

/**
 * All leases in memory, durable in the store. `commit` changes memory at once, so that the next decision of the
 * same turn already sees the address taken, and resolves when the change is on the disk: only then may the reply
 * leave.
 */
export class LeaseTable implements LeaseReader {
  readonly #store: Store;
  readonly #byAddress = new Map<Ipv4, Lease>();
  readonly #byMac = new Map<Mac, Map<string, Lease>>();

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

  /** @throws what the store throws (disk full): then memory is as the disk is, unless it was changed again since. */
  async commit(changes: readonly LeaseChange[]): Promise<void> {
    for (const change of changes) this.#apply(change);
    const made = changes.map(addressOf).map((address) => ({ address, lease: this.#byAddress.get(address) }));
    try {
      await this.#store.transact({ writes: changes.map(toWrite) });
    } catch (error) {
      for (const { address, lease } of made) {
        if (this.#byAddress.get(address) === lease) this.#restore(address);
      }
      throw error;
    }
  }

  #apply(change: LeaseChange): void {
    if (change.kind === 'put') this.#put(change.lease);
    else this.#remove(change.address);
  }

  #restore(address: Ipv4): void {
    const stored = this.#store.get(`${PREFIX}${address}`);
    if (stored) this.#put(stored.value as Lease);
    else this.#remove(address);
  }

  #put(lease: Lease): void {
    this.#remove(lease.address);
    this.#byAddress.set(lease.address, lease);
    if (lease.state === 'declined') return; // nobody's: the client that declined it must not get it back
    const ofMac = this.#byMac.get(lease.mac) ?? new Map<string, Lease>();
    ofMac.set(lease.interface, lease);
    this.#byMac.set(lease.mac, ofMac);
  }

  #remove(address: Ipv4): void {
    const lease = this.#byAddress.get(address);
    if (!lease) return;
    this.#byAddress.delete(address);
    const ofMac = this.#byMac.get(lease.mac);
    if (ofMac?.get(lease.interface) !== lease) return;
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
