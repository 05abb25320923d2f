import { failureLines } from '../src/sim/fleet-report.ts';
import { median, round } from './figures.ts';
import { type Section, table } from './markdown.ts';
import { type Goal, goalsSection, times } from './report.ts';
import { BAD_WIRE, type StormPlan, type StormResult } from './storm.ts';

/** Fewer storms are an anecdote. */
const LEAST_RUNS = 5;
const STORM_NAMES = { ours: 'netboot', dnsmasq: 'dnsmasq' } as const;

export function stormSections(
  results: readonly StormResult[],
  { pis, deadlineSeconds }: Pick<StormPlan, 'pis' | 'deadlineSeconds'>,
): Section[] {
  const seconds = (ms: number) => (ms === 0 ? '–' : (ms / 1e3).toFixed(1));
  const rows = results.map(({ wire, report: { seed, sum, server, wire: cable } }) => [
    `${wire} wire, seed ${seed}: ${STORM_NAMES[server.name]}`,
    ...[sum.booted, sum.failed, seconds(sum.medianMs), seconds(sum.p99Ms), seconds(sum.slowestMs)],
    ...[sum.booted === 0 ? '–' : times(sum.slowestMs / sum.medianMs), round(sum.bytes / 1e6)],
    ...[sum.resentDhcp, sum.resentRrqs, sum.duplicateBlocks],
    ...[server.cpuSeconds, server.memoryMiB, round(cable.cpuSeconds), cable.overrun],
  ]);
  const failures = results.flatMap(({ wire, report }) =>
    failureLines(report).map(
      (line) => `- ${wire} wire, seed ${report.seed}, ${STORM_NAMES[report.server.name]}: ${line}`,
    ),
  );
  const whole = results.filter(({ report }) => report.sum.failed === 0);
  const megabytes = round(median(whole.map(({ report: { sum } }) => sum.bytes / sum.pis)) / 1e6);
  const { lossPercent, duplicatePercent, reorderPercent } = BAD_WIRE;
  const heads = ['booted', 'failed', 'median s', '99 %', 'slowest', 'slowest to median', 'MB'];
  const more = ['DHCP again', 'RRQ again', 'blocks twice', 'server CPU s', 'MiB', 'fleet CPU s', 'overrun'];
  const body = [
    `${pis} mixed virtual Pis (\`netboot sim rack\`) that are switched on at once and read about ${megabytes} MB each; what different Pis got is`,
    `compared byte by byte. The bad wire loses ${lossPercent} % of the frames in each direction, doubles ${duplicatePercent} % and has ${reorderPercent} % overtaken. The`,
    `same seed has the same Pis and the same faults for both servers. What has not booted within ${deadlineSeconds} s counts as failed. "overrun":`,
    'frames that came faster than the fleet could take them.',
    '',
    table(['', ...heads, ...more], rows),
    ...(failures.length > 0 ? ['', 'Why Pis failed:', '', ...failures] : []),
  ].join('\n');
  const bad = results.filter(({ wire, report }) => wire === 'bad' && report.server.name === 'ours');
  const failed = bad.reduce((sum, { report }) => sum + report.sum.failed, 0);
  const worst = Math.max(...bad.map(({ report: { sum } }) => sum.slowestMs / sum.medianMs));
  const isEnough = bad.length >= LEAST_RUNS;
  const goals: Goal[] = [
    {
      text: `Storm: ${pis} Pis on a bad wire, 0 failed boots`,
      figure: `${failed} in ${bad.length} storms`,
      isReached: isEnough && failed === 0,
    },
    {
      text: 'Storm: slowest ≤ 2 × median',
      figure: `${times(worst)} at worst`,
      isReached: isEnough && worst <= 2,
    },
  ];
  return [goalsSection('storm', goals), { title: 'Storm, netboot and dnsmasq', body }];
}
