import type { Terms } from './negotiate.ts';

/** What an event makes of a transfer. Numbers, because one is answered for every ACK of a rack that boots. */
export const outcome = {
  /** Nothing is to be done: a duplicate, or an ACK from another time. */
  nothing: 0,
  /** Blocks arrived: the next window may be {@link Transfer.open | opened}. */
  progress: 1,
  /** Blocks were lost: the window is to be opened again. */
  again: 2,
  completed: 3,
  /** All was sent and the client fell silent at the very end: the last ACK may be what got lost. */
  unconfirmed: 4,
  /** The client is gone. */
  gone: 5,
  /** The client may have started over: the {@link Transfer.answer | answer} to its request is to be sent again. */
  doubtful: 6,
  /** It did start over: the next window may be opened, at the beginning of the file. */
  restarted: 7,
} as const;
export type Outcome = (typeof outcome)[keyof typeof outcome];

/** Retransmissions of one window before the client is taken for gone. */
const MAX_TRIES = 5;
/** The longest wait that backing off leads to; a Pi 4 or 5 gives up a file after 30 s (TFTP_FILE_TIMEOUT). */
const MAX_BACKOFF_MS = 4000;
/**
 * The least wait for an ACK. RFC 6298 says 1 s, for the Internet; a lost block would cost a Pi a second, and at 1 % loss
 * its 30 s per file. Below, a client that only pauses would get duplicates (raspberrypi/firmware#1631).
 */
const MIN_RTO_MS = 20;
/**
 * The most that the first repetition waits, however slow the round trips: a Pi 3 takes a file that stands still for
 * seconds for missing.
 */
const MAX_RTO_MS = 1000;
/** How many round trips the wait is at least, since the ACKs of a fleet under load come unevenly. */
const MIN_RTO_ROUND_TRIPS = 8;
/** A client that did answer is not given up before, however short the waits have become. */
const PATIENCE_MS = 15_000;
/** How long the very last ACK is waited for. */
const DALLY_MS = 3000;
/** By this deadline after a doubled request the answer was sent once more: the first repeats the block, as ever. */
const FIRST_DOUBT = 3;

/**
 * One read transfer (RFC 1350, windows: RFC 7440) as a state machine: events in, the blocks to send out. It knows no
 * socket, no clock and no file. Blocks are counted from 1 without wrapping, and the OACK is block 0, as its ACK says.
 * Unlike a value that every event replaces it is changed in place: an event costs no memory.
 */
export class Transfer {
  readonly terms: Terms;
  /** Blocks of the file; the last is shorter than the block size, so a multiple of it ends in an empty block. */
  readonly blocks: number;
  /** The last block known to have arrived; -1 while the OACK is not acknowledged. */
  acked = 0;
  /** The blocks to send now, after {@link open}: none when `last < first`. */
  first = 0;
  last = 0;
  /** When {@link expire} is to be called, in the clock's milliseconds. */
  deadline = 0;
  /** Retransmissions since the last progress. */
  tries = 0;
  /** Windows sent again since the start. */
  retransmissions = 0;
  #highest = 0;
  #rto = 0;
  #smoothed = 0;
  #variation = 0;
  #sampled = -2;
  #openedAt = 0;
  #progressAt = 0;
  #isGapAnswered = false;
  /** 0: the request came once; 1: it came again in the middle of the file; counted on at every deadline since. */
  #doubt = 0;

  constructor(terms: Terms, size: number) {
    this.terms = terms;
    this.blocks = Math.floor(size / terms.blockSize) + 1;
  }

  /**
   * The request came again. Before anything is acknowledged its answer got lost, and is given again at once. Later a
   * duplicate was long on its way, or the client has started over, from the same port: only one that falls silent is
   * asked which, in turns by the block it waits for and by the {@link answer}.
   * @returns whether the transfer began again
   */
  request(now: number): boolean {
    if (this.isUnacknowledged) {
      this.start(now);
      return true;
    }
    if (this.#doubt === 0) this.#doubt = 1;
    return false;
  }

  /** The block that answers the request. */
  get answer(): number {
    return this.#start + 1;
  }

  /** Answers the request, for the first time or again: with the OACK, or with DATA 1 when no option was accepted. */
  start(now: number): void {
    const isAgain = this.#rto !== 0;
    this.acked = this.#start;
    this.tries = 0;
    this.#doubt = 0;
    this.#highest = this.acked;
    this.#rto = this.terms.timeoutMs;
    this.#smoothed = 0;
    this.#progressAt = now;
    this.open(now, this.terms.windowSize);
    if (isAgain) this.#sampled = -2;
  }

  /** Neither the OACK nor DATA 1 is known to have arrived. */
  get isUnacknowledged(): boolean {
    return this.acked === this.#start;
  }

  /** The last window is on its way. */
  get isEnding(): boolean {
    return this.last === this.blocks;
  }

  /** Sends what a window of `size` has room for, from the first block that is not acknowledged. */
  open(now: number, size: number): void {
    this.first = this.acked + 1;
    this.last = this.acked < 0 ? 0 : Math.min(this.acked + size, this.blocks);
    // Karn: what was sent twice says nothing about the round trip, for nobody knows which one was acknowledged.
    this.#sampled = this.first > this.#highest ? this.last : -2;
    if (this.last > this.#highest) this.#highest = this.last;
    this.#openedAt = now;
    this.deadline = now + this.#wait();
  }

  /** @param wire the 16 bits of the ACK. */
  acknowledge(wire: number, now: number): Outcome {
    const progress = (wire - this.acked) & 0xffff;
    if (progress === 0) return this.#isRestart(wire) ? this.#restart(now) : this.#repeat(now);
    // An ACK inside the window tells of a gap (RFC 7440 section 4): the next window begins at the block that is missing.
    if (progress > this.last - this.acked) {
      return this.#isRestart(wire) ? this.#restart(now) : outcome.nothing;
    }
    this.acked += progress;
    if (this.acked === this.#sampled) this.#sample(now - this.#openedAt);
    this.tries = 0;
    this.#doubt = 0;
    this.#progressAt = now;
    this.#isGapAnswered = false;
    return this.acked >= this.blocks ? outcome.completed : outcome.progress;
  }

  /** The {@link deadline} has passed. */
  expire(now: number): Outcome {
    const silentMs = now - this.#progressAt;
    if (this.isUnacknowledged) {
      if (this.tries >= MAX_TRIES) return outcome.gone;
    } else if (this.isEnding) {
      // What was asked instead of repeating the end gave nobody a chance to get it.
      const repeats = this.tries - Math.floor(Math.max(0, this.#doubt - 1) / 2);
      if (this.tries >= MAX_TRIES || (repeats >= 2 && silentMs >= DALLY_MS)) return outcome.unconfirmed;
    } else if (this.tries >= MAX_TRIES && silentMs >= PATIENCE_MS) return outcome.gone;
    this.tries += 1;
    this.retransmissions += 1;
    if (this.#doubt === 0) return outcome.again;
    this.#doubt += 1;
    if (this.#doubt % 2 === 0) return outcome.again;
    this.deadline = now + this.#wait();
    return outcome.doubtful;
  }

  /** Whether the answer that was sent again is acknowledged. */
  #isRestart(wire: number): boolean {
    return this.#doubt >= FIRST_DOUBT && wire === this.answer;
  }

  #restart(now: number): Outcome {
    this.start(now);
    this.acked = this.answer;
    return outcome.restarted;
  }

  /**
   * An ACK that was here before. In lockstep it is never answered, or every block is sent twice from here to the end
   * (the Sorcerer's Apprentice, RFC 1123 section 4.2.3.1); the Pi 4 acknowledges old blocks again since 2021. In a
   * window it says that the first block was lost, if it comes when an answer to this window can: once it is believed.
   */
  #repeat(now: number): Outcome {
    if (this.terms.windowSize === 1 || this.acked < 0 || this.isUnacknowledged || this.#isGapAnswered) {
      return outcome.nothing;
    }
    if (now - this.#openedAt < this.#smoothed / 2) return outcome.nothing;
    this.#isGapAnswered = true;
    this.retransmissions += 1;
    return outcome.again;
  }

  get #start(): number {
    return this.terms.accepted ? -1 : 0;
  }

  #wait(): number {
    const { timeoutMs, isTimeoutAsked } = this.terms;
    const first = isTimeoutAsked ? timeoutMs : this.#rto;
    if (this.tries === 0) return first;
    return Math.max(first, Math.min(first * 2 ** this.tries, MAX_BACKOFF_MS));
  }

  /** RFC 6298, section 2. */
  #sample(roundTrip: number): void {
    if (this.#smoothed === 0) {
      this.#smoothed = roundTrip;
      this.#variation = roundTrip / 2;
    } else {
      this.#variation += (Math.abs(this.#smoothed - roundTrip) - this.#variation) / 4;
      this.#smoothed += (roundTrip - this.#smoothed) / 8;
    }
    const adapted = this.#smoothed + 4 * this.#variation;
    const least = Math.max(MIN_RTO_MS, MIN_RTO_ROUND_TRIPS * this.#smoothed);
    this.#rto = Math.min(Math.max(adapted, least), MAX_RTO_MS);
  }
}

/** Block numbers have 16 bits on the wire: 65535 is followed by 0, as EEPROMs since 2025-09-23 and dnsmasq have it. */
export function wireBlock(block: number): number {
  return block & 0xffff;
}
