import { type FaultSource, LONGEST_HOLD_MS } from './impairment.ts';
import type { LateFrame, LateFrames } from './late-frames.ts';

/** One direction of one Pi's cable: what is put in comes out, as the faults will have it. */
export class Lane {
  readonly faults: FaultSource;
  lost = 0;
  doubled = 0;
  heldBack = 0;
  readonly #late: LateFrames;
  readonly #deliver: (frame: Buffer, length: number) => void;
  #held: LateFrame | undefined;

  constructor(faults: FaultSource, late: LateFrames, deliver: (frame: Buffer, length: number) => void) {
    this.faults = faults;
    this.#late = late;
    this.#deliver = deliver;
  }

  /** `frame` may be used again when it returns. */
  put(frame: Buffer, length: number): void {
    const { faults } = this;
    faults.next();
    if (faults.isLost) {
      this.lost += 1;
      return;
    }
    const { isTwice, isHeldBack, delayMs } = faults;
    const overtaken = this.#held;
    if (isTwice) this.doubled += 1;
    if (isHeldBack) this.heldBack += 1;
    for (let copy = isTwice ? 2 : 1; copy > 0; copy--) {
      const lateMs = delayMs + (isHeldBack ? LONGEST_HOLD_MS : 0);
      if (lateMs === 0) this.#deliver(frame, length);
      else this.#delay(frame, length, lateMs, isHeldBack && delayMs === 0);
    }
    if (overtaken && !overtaken.isGone) this.#release(overtaken);
  }

  #delay(frame: Buffer, length: number, lateMs: number, canBeOvertaken: boolean): void {
    const late = this.#late.add(performance.now() + lateMs, frame, length, (bytes, size) => {
      late.isGone = true;
      this.#deliver(bytes, size);
    });
    if (canBeOvertaken) this.#held = late;
  }

  #release(late: LateFrame): void {
    if (this.#held === late) this.#held = undefined;
    late.deliver(late.bytes, late.length);
  }
}
