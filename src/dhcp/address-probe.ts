import type { Instant } from '../model/lease.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import type { Mac } from '../net/mac.ts';

/** After so long nobody answers any more: ARP on one segment takes a millisecond. */
const ANSWER_MS = 300;
const LOOK_EVERY_MS = 100;
/** More new clients than this in one second are a rack that is switched on, and nobody shall wait for it. */
const MOST_PER_SECOND = 5;
const REMEMBER_MS = 60_000;
const MOST_REMEMBERED = 1024;

export interface AddressProbeOptions {
  /** Makes the kernel ask by ARP who has the address. */
  readonly provoke: (address: Ipv4, network: string) => void;
  /** Who has just answered by ARP for the address; what was known of it from before does not count. */
  readonly neighbour: (address: Ipv4, network: string) => Promise<Mac | undefined>;
  readonly now: () => Instant;
}

export interface ProbeQuestion {
  readonly address: Ipv4;
  readonly network: string;
  /** Who is to get the address, and who had it last: if these answer, all is well. */
  readonly knownMacs: ReadonlyArray<Mac | undefined>;
}

/** Finds out whether an address is in use by a machine that has no lease (RFC 2131 sections 2.2 and 3.1). */
export class AddressProbe {
  readonly #options: AddressProbeOptions;
  readonly #verified = new Map<Ipv4, Instant>();
  #second = 0;
  #asked = [0, 0];

  constructor(options: AddressProbeOptions) {
    this.#options = options;
  }

  /**
   * The machine that uses the address, if any. `undefined` at once: it is not looked, since it was a minute ago or since
   * so many ask now that they would have to wait.
   */
  ask(question: ProbeQuestion): Promise<Mac | undefined> | undefined {
    const now = this.#options.now();
    if (this.#isBusy(now) || (this.#verified.get(question.address) ?? 0) > now) return undefined;
    return this.#find(question);
  }

  async #find({ address, network, knownMacs }: ProbeQuestion): Promise<Mac | undefined> {
    this.#options.provoke(address, network);
    for (let waited = 0; waited < ANSWER_MS; waited += LOOK_EVERY_MS) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      const mac = await this.#options.neighbour(address, network);
      if (mac) return knownMacs.includes(mac) ? undefined : mac;
    }
    this.#remember(address);
    return undefined;
  }

  #remember(address: Ipv4): void {
    this.#verified.delete(address);
    this.#verified.set(address, this.#options.now() + REMEMBER_MS);
    if (this.#verified.size > MOST_REMEMBERED)
      this.#verified.delete(this.#verified.keys().next().value as Ipv4);
  }

  /** By the count of this second or of the one before, so that a storm does not begin anew with every second. */
  #isBusy(now: Instant): boolean {
    const second = Math.floor(now / 1000);
    if (second !== this.#second) {
      this.#asked = [second === this.#second + 1 ? (this.#asked[1] as number) : 0, 0];
      this.#second = second;
    }
    const [before, current] = this.#asked as [number, number];
    this.#asked = [before, current + 1];
    return before > MOST_PER_SECOND || current >= MOST_PER_SECOND;
  }
}
