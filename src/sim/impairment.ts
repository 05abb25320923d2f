import { fnv1a } from '../net/fnv1a.ts';

/** What a bad wire does to each frame, in percent of frames and in milliseconds. */
export interface Impairment {
  readonly lossPercent: number;
  readonly duplicatePercent: number;
  /** The frame waits until the next of the same Pi and direction has passed, or for {@link LONGEST_HOLD_MS}. */
  readonly reorderPercent: number;
  /** Every frame is this late, and by up to `jitterMs` later still. */
  readonly delayMs: number;
  readonly jitterMs: number;
}

export const PERFECT: Impairment = {
  lossPercent: 0,
  duplicatePercent: 0,
  reorderPercent: 0,
  delayMs: 0,
  jitterMs: 0,
};

/** With one block in flight, nothing overtakes a frame that is held back: then it is late, as one that took a detour. */
export const LONGEST_HOLD_MS = 5;

/** Frames per direction that {@link FaultSource.fingerprint} is made of: every boot has more. */
const FINGERPRINT_FRAMES = 128;

/**
 * The faults of one Pi's frames in one direction. They follow from (seed, Pi, direction, ordinal of the frame) alone:
 * the n-th frame that this Pi sends (or that is sent to it) meets the same fault in every run with the same seed,
 * whatever the other Pis do and however long anything takes. What the n-th frame is depends on the server, of course:
 * a server that repeats a block has every later frame shifted by one. Counted are ARP, DHCP and TFTP frames alike, to a Pi those
 * with its MAC as the destination and those broadcast that concern it by their content (ARP for its address, DHCP with its
 * chaddr).
 */
export class FaultSource {
  isLost = false;
  isTwice = false;
  isHeldBack = false;
  delayMs = 0;
  readonly #impairment: Impairment;
  readonly #base: number;
  #ordinal = 0;
  #fingerprint = 0;

  constructor(seed: number, pi: string, direction: 'in' | 'out', impairment: Impairment) {
    this.#impairment = impairment;
    this.#base = fnv1a(`${seed} ${pi} ${direction}`);
  }

  /** Decides on the next frame; the fields tell what. A frame that is lost is neither late nor doubled. */
  next(): void {
    const { lossPercent, duplicatePercent, reorderPercent, delayMs, jitterMs } = this.#impairment;
    const ordinal = this.#ordinal++;
    this.isLost = this.#percent(ordinal, 1) < lossPercent;
    this.isTwice = !this.isLost && this.#percent(ordinal, 2) < duplicatePercent;
    this.isHeldBack = !this.isLost && this.#percent(ordinal, 3) < reorderPercent;
    this.delayMs = jitterMs === 0 ? delayMs : delayMs + (this.#percent(ordinal, 4) / 100) * jitterMs;
    if (ordinal < FINGERPRINT_FRAMES) {
      const fault = (this.isLost ? 1 : 0) + (this.isTwice ? 2 : 0) + (this.isHeldBack ? 4 : 0);
      this.#fingerprint = mix(this.#fingerprint ^ (fault + 8 * Math.round(this.delayMs * 1000)));
    }
  }

  /** Two runs that met the same faults with their first 128 frames have the same one. */
  get fingerprint(): string {
    return this.#fingerprint.toString(16).padStart(8, '0');
  }

  /** Between 0 and 100, evenly spread. */
  #percent(ordinal: number, draw: number): number {
    return (mix(mix(this.#base + ordinal) + draw * 0x9e3779b9) / 0x100000000) * 100;
  }
}

/** The finalizer of MurmurHash3: each bit of the value changes half of the result's. */
function mix(value: number): number {
  let hash = value >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
