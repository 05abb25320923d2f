import type { StartOrder } from './engine-port.ts';
import type { EngineSocket } from './engine-socket.ts';
import { encodePacket } from './packet.ts';
import { Transfer } from './transfer.ts';

/** How a transfer may send. */
export const lane = {
  /** As fast as its client acknowledges: a small file, or one that has nothing but its end before it. */
  open: 0,
  /** Large, and its client has not answered yet: it may only be asking whether the file exists. */
  fresh: 1,
  /** Large, without a slot: paced. */
  waiting: 2,
  /** Large, with a slot. */
  admitted: 3,
} as const;

/** A transfer with everything the engine keeps about it. */
export class Running {
  readonly id: number;
  readonly index: number;
  readonly address: number;
  readonly port: number;
  readonly file: number;
  readonly size: number;
  readonly socket: EngineSocket;
  readonly oack: Uint8Array | undefined;
  readonly transfer: Transfer;
  /** Only stages with a time limit for the whole file ask for larger blocks than 512: the Pi 4's and 5's, and UEFI. */
  readonly isHurried: boolean;
  lane: (typeof lane)[keyof typeof lane];
  hasAnswered = false;
  /** Without a slot: its next block is due at the deadline. */
  isPaused = false;
  pacedAt = Number.NEGATIVE_INFINITY;
  waitingSince = 0;
  ackedAtReview = 0;
  /** Reviews in a row that found its slot hardly used. */
  dullReviews = 0;
  readonly #first: (typeof lane)[keyof typeof lane];

  constructor(order: StartOrder, socket: EngineSocket, index: number, smallBytes: number) {
    this.id = order.id;
    this.index = index;
    this.address = order.address;
    this.port = order.port;
    this.file = order.file;
    this.size = order.size;
    this.socket = socket;
    this.transfer = new Transfer(order.terms, order.size);
    this.isHurried = order.terms.blockSize > 512;
    const { accepted } = order.terms;
    this.oack = accepted && encodePacket({ kind: 'oack', options: accepted });
    this.#first = order.size <= smallBytes ? lane.open : lane.fresh;
    this.lane = this.#first;
  }

  /** Begins again; one that has a slot or waits for one keeps it. */
  returnToFresh(): void {
    if (this.lane === lane.open) this.lane = this.#first;
  }
}
