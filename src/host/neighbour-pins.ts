import { CommandError, type Run } from '../model/command.ts';
import type { LeaseReader } from '../model/lease.ts';
import type { Log } from '../model/log.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import type { Mac } from '../net/mac.ts';

const SWEEP_MS = 30_000;
/** More than a rack has. */
const MOST = 1024;

interface Pin {
  readonly address: Ipv4;
  readonly mac: Mac;
  readonly interface: string;
}

export interface NeighbourPinsOptions {
  readonly run: Run;
  readonly leases: LeaseReader;
  readonly log: Log;
  readonly now: () => number;
}

/**
 * Fixed neighbour entries, made from what a DHCP message told: a Pi 3B answers no ARP while it transfers a file, so that an
 * entry which the kernel wants to refresh would fail in the middle of it (raspberrypi/documentation, boot-net.adoc).
 * An entry goes with its lease. Needs CAP_NET_ADMIN; where it is missing nothing is pinned, which is told once.
 */
export class NeighbourPins {
  readonly #options: NeighbourPinsOptions;
  readonly #pins = new Map<Ipv4, Pin>();
  readonly #sweeping: NodeJS.Timeout;
  #isAllowed = true;

  constructor(options: NeighbourPinsOptions) {
    this.#options = options;
    this.#sweeping = setInterval(() => void this.sweep(), SWEEP_MS);
  }

  /** Resolves when the kernel has it. Never rejects. */
  async pin(pin: Pin): Promise<void> {
    const before = this.#pins.get(pin.address);
    if (!this.#isAllowed || before?.mac === pin.mac || (!before && this.#pins.size >= MOST)) return;
    this.#pins.set(pin.address, pin);
    const entry = ['lladdr', pin.mac, 'dev', pin.interface, 'nud', 'permanent'];
    try {
      await this.#options.run('ip', ['neigh', 'replace', pin.address, ...entry]);
    } catch (error) {
      this.#pins.delete(pin.address);
      this.#isAllowed = !isForbidden(error);
      const why = this.#isAllowed ? (error as Error).message : 'the service has no CAP_NET_ADMIN';
      this.#options.log.info(
        { id: 'NEIGHBOUR_NOT_PINNED', address: pin.address },
        `no fixed neighbour entry for a Pi 3 during its transfers: ${why}`,
      );
    }
  }

  /** Takes the entries away whose leases have ended. */
  async sweep(): Promise<void> {
    const { leases, now } = this.#options;
    for (const pin of [...this.#pins.values()]) {
      const lease = leases.byAddress(pin.address);
      if (lease?.mac !== pin.mac || lease.expiresAt <= now()) await this.#remove(pin);
    }
  }

  /** Takes all of them away. */
  async stop(): Promise<void> {
    clearInterval(this.#sweeping);
    for (const pin of [...this.#pins.values()]) await this.#remove(pin);
  }

  async #remove(pin: Pin): Promise<void> {
    this.#pins.delete(pin.address);
    await this.#options.run('ip', ['neigh', 'del', pin.address, 'dev', pin.interface]).catch(() => '');
  }
}

function isForbidden(error: unknown): boolean {
  return error instanceof CommandError && /not permitted/i.test(error.stderrTail);
}
