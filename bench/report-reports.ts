import { round } from './figures.ts';
import { type Section, table } from './markdown.ts';
import { type Goal, goalsSection } from './report.ts';
import type { ReportsResult } from './reports.ts';

export function reportsSections(result: ReportsResult): Section[] {
  const { nodes, seconds, percent, idlePercent, reports, memory, idleMemory, listingMs, states } = result;
  const heads = [
    '',
    'CPU %',
    'idle CPU %',
    'reports',
    'troubles',
    'MiB',
    'idle MiB',
    'listing ms',
    'orders ms',
  ];
  const row = [
    `${nodes} nodes`,
    ...[percent.toFixed(2), idlePercent.toFixed(2), reports, result.troubles],
    ...[round(memory), round(idleMemory), listingMs.toFixed(1), round(result.orderMs)],
  ];
  const up = states.up ?? 0;
  const body = [
    `Simulated nodes, each from an address of its own, that report once a minute and wait for orders in between, for ${seconds} s. CPU: of the`,
    'whole service, in percent of one processor. "idle": with the nodes added and none of them up. "listing": the median of',
    '`GET /v1/nodes`. "orders": from the orders to reboot for every tenth node, given together, to the last that was taken.',
    '',
    table(heads, [row]),
    '',
    `States at the end: ${Object.entries(states)
      .map(([state, count]) => `${count} ${state}`)
      .join(', ')}.`,
  ].join('\n');
  const isWhole = nodes >= 1000;
  const goals: Goal[] = [
    {
      text: '1,000 nodes report: < 2 % of a processor',
      figure: `${percent.toFixed(2)} %`,
      isReached: isWhole && percent < 2 && reports >= (nodes * seconds) / 60 - nodes / 10,
    },
    {
      text: '1,000 nodes: memory of the service < 150 MB',
      figure: `${round(memory * 1.048576)} MB`,
      isReached: isWhole && memory * 1.048576 < 150,
    },
    {
      text: '1,000 nodes: listing < 100 ms',
      figure: `${listingMs.toFixed(1)} ms`,
      isReached: isWhole && listingMs < 100,
    },
    { text: '1,000 nodes: all states right', figure: `${up} up`, isReached: isWhole && up === nodes },
  ];
  return [goalsSection('reports', goals), { title: 'Reports', body }];
}
