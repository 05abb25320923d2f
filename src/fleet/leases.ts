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

  /** @throws what the store throws (disk full): then memory is as it was before, unless it was changed again since. */
  async commit(changes: readonly LeaseChange[]): Promise<void> {
    const undo = changes.map((change) => this.#apply(change));
    try {
      await this.#store.transact({ writes: changes.map(toWrite) });
    } catch (error) {
      for (const restore of undo.reverse()) restore();
      throw error;
    }
  }

  #apply(change: LeaseChange): () => void {
    const address = change.kind === 'put' ? change.lease.address : change.address;
    const before = this.#byAddress.get(address);
    if (change.kind === 'put') this.#put(change.lease);
    else this.#remove(address);
    const after = this.#byAddress.get(address);
    return () => {
      if (this.#byAddress.get(address) !== after) return;
      if (before) this.#put(before);
      else this.#remove(address);
    };
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
