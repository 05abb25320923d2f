import type { Instant } from './lease.ts';

/**
 * Lets a call through at most once in `intervalMs`, so that a flood of garbage does not become a flood of log
 * lines. `emit` is told how many calls were left out since the last one that came through.
 */
export function throttle(intervalMs: number, now: () => Instant): (emit: (leftOut: number) => void) => void {
  let openAt = Number.NEGATIVE_INFINITY;
  let leftOut = 0;
  return (emit) => {
    if (now() < openAt) {
      leftOut++;
      return;
    }
    emit(leftOut);
    openAt = now() + intervalMs;
    leftOut = 0;
  };
}
