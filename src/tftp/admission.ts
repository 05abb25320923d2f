/** Whoever wants a slot; `address` says whose it is. */
export interface Applicant {
  readonly address: number;
}

interface Client<T> {
  readonly waiting: Set<T>;
  readonly running: Set<T>;
}

/**
 * Who may send at full speed. A rack that is switched on wants far more than a network carries; were it shared among
 * all, every file would take longer than the 30 s that a Pi waits for one, and nobody would come up. So a bounded
 * number runs at once, and the others wait for their turn: the oldest first, but the clients in turn, and no client has
 * a second slot while another one has none.
 */
export class Admission<T extends Applicant> {
  readonly #slots: number;
  /** Those with something waiting or running. Those that wait are in the order of their turns. */
  readonly #clients = new Map<number, Client<T>>();
  readonly #turns = new Set<number>();
  #running = 0;
  #waiting = 0;

  constructor(slots: number) {
    this.#slots = slots;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Asks for a slot; whoever has one or waits for one keeps its place. {@link next} says who gets it. */
  apply(applicant: T): void {
    const client = this.#client(applicant.address);
    if (client.running.has(applicant) || client.waiting.has(applicant)) return;
    client.waiting.add(applicant);
    this.#waiting += 1;
    this.#turns.add(applicant.address);
  }

  /** Gives a free slot to the next in turn, if there is one of each. */
  next(): T | undefined {
    if (this.#running >= this.#slots) return undefined;
    for (const address of this.#turns) {
      const client = this.#client(address);
      const [first] = client.waiting;
      if (first === undefined) continue;
      client.waiting.delete(first);
      this.#waiting -= 1;
      client.running.add(first);
      this.#running += 1;
      this.#turns.delete(address);
      if (client.waiting.size > 0) this.#turns.add(address); // to the end of the line
      return first;
    }
    return undefined;
  }

  /** Who is to give up its slot for a client that has none: the newest of the client that has most, at least two more. */
  surplus(): T | undefined {
    if (this.#running < this.#slots) return undefined;
    const isStarved = [...this.#turns].some((address) => this.#client(address).running.size === 0);
    if (!isStarved) return undefined;
    let most: Client<T> | undefined;
    for (const client of this.#clients.values()) {
      if (client.running.size > (most?.running.size ?? 1)) most = client;
    }
    return most && [...most.running].at(-1);
  }

  /** Gives its slot or its place in the line back. */
  withdraw(applicant: T): void {
    const client = this.#clients.get(applicant.address);
    if (!client) return;
    if (client.running.delete(applicant)) this.#running -= 1;
    if (client.waiting.delete(applicant)) this.#waiting -= 1;
    if (client.waiting.size === 0) this.#turns.delete(applicant.address);
    if (client.waiting.size + client.running.size === 0) this.#clients.delete(applicant.address);
  }

  isRunning(applicant: T): boolean {
    return this.#clients.get(applicant.address)?.running.has(applicant) ?? false;
  }

  *allRunning(): Iterable<T> {
    for (const client of this.#clients.values()) yield* client.running;
  }

  *allWaiting(): Iterable<T> {
    for (const client of this.#clients.values()) yield* client.waiting;
  }

  #client(address: number): Client<T> {
    let client = this.#clients.get(address);
    if (!client) {
      client = { waiting: new Set(), running: new Set() };
      this.#clients.set(address, client);
    }
    return client;
  }
}
