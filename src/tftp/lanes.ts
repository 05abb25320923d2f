import { Admission } from './admission.ts';
import { lane, type Running } from './running.ts';

/** A transfer that waits for its slot is sent a block now and then, so that its client stays patient. */
const PACE_MS = 500;
/** How often slots are looked after, and how long one may be held that is hardly used while others wait. */
const REVIEW_MS = 250;
const PROBATION_MS = 1000;
const LEAST_BYTES_PER_SECOND = 64 * 1024;

export interface LanesOptions {
  readonly slots: number;
  /** Sends what the transfer has opened. */
  readonly send: (running: Running) => void;
  /** The transfer has another deadline. */
  readonly onDeadline: (deadline: number) => void;
}

/**
 * Which large transfers send at full speed, and which wait ({@link Admission}). One asks for its slot when its client
 * has answered for the first time: so a Pi that only looks whether a file is there waits for nobody, and who never
 * answers takes nobody's place.
 */
export class Lanes {
  readonly #options: LanesOptions;
  readonly #admission: Admission<Running>;
  #nextReview = Number.POSITIVE_INFINITY;

  constructor(options: LanesOptions) {
    this.#options = options;
    this.#admission = new Admission(options.slots);
  }

  get running(): number {
    return this.#admission.running;
  }

  get waiting(): number {
    return this.#admission.waiting;
  }

  /** When {@link review} is due. */
  get nextReview(): number {
    return this.#nextReview;
  }

  longestWaitMs(now: number): number {
    let longest = 0;
    for (const waiting of this.#admission.allWaiting()) {
      longest = Math.max(longest, now - waiting.waitingSince);
    }
    return longest;
  }

  /** Whether a large file may send its next window now; if not, it has been sent, or is due after the pace. */
  mayGoOn(running: Running, now: number): boolean {
    if (running.lane === lane.admitted) return true;
    if (running.lane === lane.fresh) {
      running.lane = lane.waiting;
      running.waitingSince = now;
      this.#admission.apply(running);
      this.admit(now);
      if (isWaiting(running)) this.#takeFromTheRich(now);
      if (!isWaiting(running)) return false; // admitting it has sent its window
    }
    running.isPaused = true;
    running.transfer.deadline = Math.max(now, running.pacedAt + PACE_MS);
    this.#options.onDeadline(running.transfer.deadline);
    return false;
  }

  /** Gives free slots to those whose turn it is. */
  admit(now: number): void {
    for (let next = this.#admission.next(); next; next = this.#admission.next()) {
      next.lane = lane.admitted;
      next.ackedAtReview = next.transfer.acked;
      // One whose block is on its way goes on with the ACK; sending more now would be a retransmission.
      if (!next.isPaused && next.transfer.acked < next.transfer.last) continue;
      next.transfer.open(now, next.transfer.terms.windowSize);
      this.#options.send(next);
    }
    if (this.waiting > 0 && this.#nextReview === Number.POSITIVE_INFINITY) this.#nextReview = now + REVIEW_MS;
  }

  /** The transfer needs no slot: it is over, or has nothing before it but its end. */
  leave(running: Running): void {
    this.#admission.withdraw(running);
    running.lane = lane.open;
  }

  /** Slots that are hardly used go to those that wait: a client that dawdles, or is gone, needs none. */
  review(now: number): void {
    this.#nextReview = Number.POSITIVE_INFINITY;
    if (this.waiting === 0) return;
    for (const running of [...this.#admission.allRunning()]) {
      const { acked, terms } = running.transfer;
      const bytes = (acked - running.ackedAtReview) * terms.blockSize;
      running.ackedAtReview = acked;
      const isDull = bytes < (LEAST_BYTES_PER_SECOND * REVIEW_MS) / 1000;
      running.dullReviews = isDull ? running.dullReviews + 1 : 0;
      if (running.dullReviews * REVIEW_MS >= PROBATION_MS) this.#demote(running, now);
    }
    this.admit(now);
  }

  /** A client that has several slots gives one to a client that has none. */
  #takeFromTheRich(now: number): void {
    const surplus = this.#admission.surplus();
    if (!surplus) return;
    this.#demote(surplus, now);
    this.admit(now);
  }

  #demote(running: Running, now: number): void {
    this.#admission.withdraw(running);
    running.lane = lane.waiting;
    running.waitingSince = now;
    running.pacedAt = now;
    running.dullReviews = 0;
    this.#admission.apply(running);
  }
}

function isWaiting(running: Running): boolean {
  return running.lane === lane.waiting;
}
