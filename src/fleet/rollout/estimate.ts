import type { Instant } from '../../model/lease.ts';
import type { Rollout, Step } from './rollout.ts';

/** Who watches is not told of each second by which it is late. */
const ROUND_MS = 10_000;

/**
 * When it will be over, as far as the nodes that are done tell; `undefined` before the first, and when it does not
 * go by itself. A batch takes as long as its slowest node.
 * @param waiting nodes that will have their turn.
 */
export function estimateEnd(
  rollout: Rollout,
  steps: Iterable<Step>,
  waiting: number,
  now: Instant,
): Instant | undefined {
  if (rollout.state !== 'running' || rollout.atNextBoot) return undefined;
  const all = [...steps];
  const done = all.filter((step) => step.state === 'done');
  const times = done.flatMap(({ toldAt, doneAt }) => (toldAt === undefined ? [] : [doneAt - toldAt]));
  if (times.length === 0) return undefined;
  const each = slowOf(times);
  const canaries = Math.min(waiting, Math.max(0, rollout.canary - done.length));
  const rounds = (canaries > 0 ? 1 : 0) + Math.ceil((waiting - canaries) / rollout.batch);
  const underWay = all.flatMap((step) =>
    step.state === 'told' ? [Math.max(0, step.toldAt + each - now)] : [],
  );
  const end = now + Math.max(0, ...underWay) + rounds * each;
  return Math.ceil(end / ROUND_MS) * ROUND_MS;
}

/** Of ten nodes the second slowest: one that took long for a reason of its own says nothing of the others. */
function slowOf(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * 0.9) - 1] as number;
}
