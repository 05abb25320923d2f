import { PERFECT } from '../src/sim/impairment.ts';
import { STORM, STORM_FILES, type StormReport, type StormServer, stormOf } from '../test/rack/storm.ts';

export interface StormPlan {
  readonly pis: number;
  /** What has not booted by then counts as failed. */
  readonly deadlineSeconds: number;
  /** No storm begins that would not end within so many seconds. */
  readonly budgetSeconds: number;
  readonly runs: number;
  /** Whether the peer has to go through the bad wire too, which takes it long. */
  readonly peerOnBadWire: boolean;
  /** Files of other sizes than those of a Raspberry Pi OS. */
  readonly files?: Readonly<Record<string, number>>;
}

export interface StormResult {
  readonly wire: 'bad' | 'perfect';
  readonly report: StormReport;
}

/** The order of a storm as the goal has it: loss, duplicates and reordering on the wire. */
export const BAD_WIRE = STORM.impairment;

/**
 * Racks that power on at once, one after the other: with the first seed netboot and dnsmasq on a bad wire, further seeds at
 * netboot, and both on a perfect wire, as far as the time goes.
 */
export async function measureStorm(
  plan: StormPlan,
  say: (line: string) => void,
): Promise<readonly StormResult[]> {
  const results: StormResult[] = [];
  const stopAt = performance.now() + plan.budgetSeconds * 1e3;
  let longest = 0;
  const run = async (server: StormServer, wire: StormResult['wire'], seed: number) => {
    const startedAt = performance.now();
    if (startedAt + longest > stopAt) return;
    const impairment = wire === 'bad' ? BAD_WIRE : PERFECT;
    const order = { ...STORM, pis: plan.pis, deadlineMs: plan.deadlineSeconds * 1e3, seed, impairment };
    const report = await stormOf(server, order, plan.files ?? STORM_FILES, ['tftp: { workers: 1 }']);
    results.push({ wire, report });
    if (server === 'ours') longest = Math.max(longest, performance.now() - startedAt);
    const { booted, failed, medianMs, slowestMs } = report.sum;
    const times = `median ${(medianMs / 1e3).toFixed(1)} s, slowest ${(slowestMs / 1e3).toFixed(1)} s`;
    const name = `storm of ${plan.pis}, ${wire} wire, seed ${seed}, ${server}`;
    say(`${name}: ${booted} booted, ${failed} failed, ${times}`);
  };
  await run('ours', 'bad', STORM.seed);
  if (plan.peerOnBadWire) await run('dnsmasq', 'bad', STORM.seed);
  for (let more = 1; more < plan.runs; more++) await run('ours', 'bad', STORM.seed + more);
  for (const server of ['ours', 'dnsmasq'] as const) await run(server, 'perfect', STORM.seed);
  return results;
}
