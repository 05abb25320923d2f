/** A copy of a frame that is to go on later. */
export interface LateFrame {
  readonly dueMs: number;
  readonly bytes: Buffer;
  length: number;
  deliver: (frame: Buffer, length: number) => void;
  /** It went on earlier than it had to. */
  isGone: boolean;
}

const LONGEST_FRAME = 2048;

/** Frames on their way, by the time they are due: a binary heap, the copies' memory used again and again. */
export class LateFrames {
  readonly #heap: LateFrame[] = [];
  readonly #free: Buffer[] = [];

  /** @param dueMs of `performance.now()`. */
  add(dueMs: number, frame: Buffer, length: number, deliver: LateFrame['deliver']): LateFrame {
    const bytes = this.#free.pop() ?? Buffer.allocUnsafeSlow(LONGEST_FRAME);
    frame.copy(bytes, 0, 0, length);
    const late: LateFrame = { dueMs, bytes, length, deliver, isGone: false };
    const heap = this.#heap;
    let at = heap.push(late) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((heap[parent] as LateFrame).dueMs <= dueMs) break;
      heap[at] = heap[parent] as LateFrame;
      at = parent;
    }
    heap[at] = late;
    return late;
  }

  /** Milliseconds until the next is due; Infinity without one. */
  dueIn(now: number): number {
    const [first] = this.#heap;
    return first ? Math.max(0, first.dueMs - now) : Number.POSITIVE_INFINITY;
  }

  /** Delivers what is due. */
  deliver(now: number): void {
    for (let first = this.#heap[0]; first && first.dueMs <= now; first = this.#heap[0]) {
      this.#removeFirst();
      if (!first.isGone) first.deliver(first.bytes, first.length);
      this.#free.push(first.bytes);
    }
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop() as LateFrame;
    if (heap.length === 0) return;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      const right = heap[child + 1];
      if (right && right.dueMs < (heap[child] as LateFrame).dueMs) child += 1;
      if ((heap[child] as LateFrame).dueMs >= last.dueMs) break;
      heap[at] = heap[child] as LateFrame;
      at = child;
    }
    heap[at] = last;
  }
}
