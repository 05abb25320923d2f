import { formatBytes } from './table.ts';

/** What a rate is taken over. */
const WINDOW_MS = 3000;

/** How far a transfer is, how fast it goes and how long it takes still. A count that falls begins another transfer. */
export class ByteMeter {
  #samples: Array<{ readonly at: number; readonly done: number }> = [];
  #before = 0;

  /** Bytes of all transfers so far. */
  get sum(): number {
    return this.#before + (this.#samples.at(-1)?.done ?? 0);
  }

  /** @param at milliseconds of a clock that only goes forward. @returns one line for a person. */
  show(at: number, done: number, total?: number): string {
    const last = this.#samples.at(-1);
    if (last && done < last.done) {
      this.#before += last.done;
      this.#samples = [];
    }
    this.#samples.push({ at, done });
    while ((this.#samples[1]?.at ?? at) <= at - WINDOW_MS) this.#samples.shift();
    const first = this.#samples[0] ?? { at, done };
    const rate = at > first.at ? ((done - first.done) * 1000) / (at - first.at) : 0;
    const parts = [total === undefined ? formatBytes(done) : `${formatBytes(done)} of ${formatBytes(total)}`];
    if (rate > 0) parts.push(`${formatBytes(Math.round(rate))}/s`);
    if (rate > 0 && total !== undefined && total > done)
      parts.push(`${Math.ceil((total - done) / rate)} s left`);
    return parts.join(', ');
  }
}
