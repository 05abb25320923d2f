/** Whoever wants a slot; `address` says whose it is. */
export interface Applicant {
  readonly address: number;
  /**
   * Its client gives the file up after a fixed time, whatever has come by then (TFTP_FILE_TIMEOUT of a Pi 4 or 5). Others
   * are content as long as something comes, and a block now and then is sent to whoever waits.
   */
  readonly isHurried?: boolean;
}

/** The part of the slots that those without hurry keep while there are some with. */
const PATIENT_PART = 1 / 4;

interface Client<T> {
  readonly waiting: Set<T>;
  readonly running: Set<T>;
}

/**
 * Who may send at full speed. A rack that is switched on wants far more than a network carries; were it shared among
 * all, every file would take longer than the 30 s that a Pi waits for one, and nobody would come up. So a bounded
 * number runs at once, and the others wait for their turn: the oldest first, but the clients in turn, and no client has
 * a second slot while another one has none. Those in a hurry go first.
 */
export class Admission<T extends Applicant> {
  readonly #slots: number;
  readonly #slotsPerClient: number;
  /** Those with something waiting or running. Those that wait are in the order of their turns. */
  readonly #clients = new Map<number, Client<T>>();
  readonly #turns = new Set<number>();
  #running = 0;
  #waiting = 0;
  #hurriedRunning = 0;
  #hurriedWaiting = 0;

  /** @param slotsPerClient that one may have, however many are free */
  constructor(slots: number, slotsPerClient = slots) {
    this.#slots = slots;
    this.#slotsPerClient = slotsPerClient;
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
    if (applicant.isHurried) this.#hurriedWaiting += 1;
    this.#turns.add(applicant.address);
  }

  /** Gives a free slot to the next in turn, if there is one of each. */
  next(): T | undefined {
    if (this.#running >= this.#slots) return undefined;
    if (this.#hurriedWaiting > 0) return this.#nextOf(true);
    const isAlone = this.#hurriedRunning === 0;
    return isAlone || this.#patientRunning < this.#patientSlots ? this.#nextOf(false) : undefined;
  }

  #nextOf(isHurried: boolean): T | undefined {
    for (const address of this.#turns) {
      const client = this.#client(address);
      if (client.running.size >= this.#slotsPerClient) continue;
      const first = firstOf(client.waiting, isHurried);
      if (first === undefined) continue;
      client.waiting.delete(first);
      this.#waiting -= 1;
      client.running.add(first);
      this.#running += 1;
      if (isHurried) {
        this.#hurriedWaiting -= 1;
        this.#hurriedRunning += 1;
      }
      this.#turns.delete(address);
      if (client.waiting.size > 0) this.#turns.add(address); // to the end of the line
      return first;
    }
    return undefined;
  }

  get #patientRunning(): number {
    return this.#running - this.#hurriedRunning;
  }

  get #patientSlots(): number {
    return Math.max(1, Math.floor(this.#slots * PATIENT_PART));
  }

  /**
   * Who is to give up its slot: one without hurry for one that has it, or, for a client that has none, the newest of the
   * client that has most, at least two more.
   */
  surplus(): T | undefined {
    if (this.#running < this.#slots) return undefined;
    if (this.#hurriedWaiting > 0 && this.#patientRunning > this.#patientSlots)
      return [...this.allRunning()].findLast((running) => !running.isHurried);
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
    if (client.running.delete(applicant)) {
      this.#running -= 1;
      if (applicant.isHurried) this.#hurriedRunning -= 1;
    }
    if (client.waiting.delete(applicant)) {
      this.#waiting -= 1;
      if (applicant.isHurried) this.#hurriedWaiting -= 1;
    }
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

function firstOf<T extends Applicant>(waiting: Iterable<T>, isHurried: boolean): T | undefined {
  for (const applicant of waiting) if ((applicant.isHurried ?? false) === isHurried) return applicant;
  return undefined;
}
