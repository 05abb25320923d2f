import type { Instant } from './lease.ts';

/**
 * Lets `mostPerSecond` calls through in each second, so that a storm of decisions does not become one of log lines.
 * `emit` is told how many calls were left out since the last one that came through.
 * @returns what says of each call whether it came through.
 */
export function lineBudget(
  mostPerSecond: number,
  now: () => Instant,
): (emit: (leftOut: number) => void) => boolean {
  let second = Number.NEGATIVE_INFINITY;
  let used = 0;
  let leftOut = 0;
  return (emit) => {
    const current = Math.floor(now() / 1000);
    if (current !== second) {
      second = current;
      used = 0;
    }
    if (used >= mostPerSecond) {
      leftOut++;
      return false;
    }
    used++;
    emit(leftOut);
    leftOut = 0;
    return true;
  };
}
