/** The client's end of a transfer: its address and its TID. */
export interface Peer {
  readonly address: string;
  readonly port: number;
}

/** What a client port waits for. */
export interface Slot {
  /** Interface, client address and client TID. */
  readonly key: string;
  readonly peer: Peer;
  /** The 32 bits of the client's address, as in a sockaddr. */
  readonly address: number;
}

interface Client<S> {
  /** The oldest first. */
  readonly all: Set<S>;
  readonly silent: Set<S>;
}

/**
 * The requests that are being answered, bounded in number. One whose client has never answered is `silent`: it may be
 * forged. The silent are in the order of their coming, so that whom to drop is known without looking for it.
 */
export class Slots<S extends Slot> {
  readonly #limits: { readonly transfers: number; readonly transfersPerClient: number };
  readonly #byKey = new Map<string, S>();
  readonly #silent = new Set<S>();
  readonly #clients = new Map<string, Client<S>>();

  constructor(limits: { readonly transfers: number; readonly transfersPerClient: number }) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#byKey.size;
  }

  get(key: string): S | undefined {
    return this.#byKey.get(key);
  }

  has(slot: S): boolean {
    return this.#byKey.get(slot.key) === slot;
  }

  all(): S[] {
    return [...this.#byKey.values()];
  }

  add(slot: S): void {
    this.#byKey.set(slot.key, slot);
    this.#silent.add(slot);
    const client = this.#clients.get(slot.peer.address) ?? { all: new Set(), silent: new Set() };
    this.#clients.set(slot.peer.address, client);
    client.all.add(slot);
    client.silent.add(slot);
  }

  /** Its client is there: it is not dropped for another one. */
  answered(slot: S | undefined): void {
    if (!slot) return;
    this.#silent.delete(slot);
    this.#clients.get(slot.peer.address)?.silent.delete(slot);
  }

  delete(slot: S): void {
    if (!this.has(slot)) return;
    this.#byKey.delete(slot.key);
    this.#silent.delete(slot);
    const client = this.#clients.get(slot.peer.address);
    if (!client) return;
    client.silent.delete(slot);
    client.all.delete(slot);
    if (client.all.size === 0) this.#clients.delete(slot.peer.address);
  }

  /**
   * Whether one more of this client fits the limits; if need be in the place of another one, which is to be abandoned
   * then: the oldest silent one, since a real client answers within milliseconds, or asks again; else the newest of the
   * client that has most, at least two more than this one, so that a few cannot keep all others out.
   */
  makeRoom(address: string): S | 'full' | undefined {
    const client = this.#clients.get(address);
    const isClientFull = client !== undefined && client.all.size >= this.#limits.transfersPerClient;
    if (!isClientFull && this.#byKey.size < this.#limits.transfers) return undefined;
    const [oldest] = isClientFull ? client.silent : this.#silent;
    return oldest ?? (isClientFull ? undefined : this.#surplus(client?.all.size ?? 0)) ?? 'full';
  }

  #surplus(own: number): S | undefined {
    let most: ReadonlySet<S> | undefined;
    for (const { all } of this.#clients.values()) if (all.size > (most?.size ?? own + 1)) most = all;
    return most && [...most].at(-1);
  }
}
