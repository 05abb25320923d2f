import type { DhcpMeasured, DhcpResult, DhcpServerName } from './dhcp.ts';
import { type Section, table } from './markdown.ts';
import { type Goal, goalsSection, of, shown } from './report.ts';

const NAMES: readonly DhcpServerName[] = ['netboot', 'Kea', 'dnsmasq'];
type Figures = DhcpResult['runs'] extends ReadonlyMap<DhcpServerName, readonly (infer Run)[]> ? Run : never;

export function dhcpSections({ rise, results }: DhcpMeasured): Section[] {
  const columns: ReadonlyArray<readonly [string, (run: Figures) => number, number]> = [
    ['done/s', (run) => run.exchangesPerSecond, 0],
    ['lost %', (run) => run.lossPercent, 2],
    ['OFFER mean ms', (run) => run.offerMean, 2],
    ['p99', (run) => run.offerP99, 2],
    ['ACK p99', (run) => run.ackP99, 2],
    ['CPU ms/exchange', (run) => (run.serverCpuSeconds / run.acks) * 1e3, 3],
    ['MiB', (run) => run.memory, 0],
    ['perfdhcp CPU s', (run) => run.cpuSeconds, 1],
  ];
  const rows = results.flatMap(({ leases, rate, runs }) =>
    NAMES.map((name) => [
      `${leases} leases, ${rate}/s asked: ${name}`,
      ...columns.map(([, figure, digits]) => shown(of(runs.get(name), figure), digits)),
    ]),
  );
  const rising = [...rise.runs].map(([name, run]) => [
    name,
    ...[run.leases, run.exchangesPerSecond, shown(run.lossPercent, 2), shown(run.offerP99, 2)],
    shown(run.memory),
  ]);
  const commands = results.flatMap(({ runs }) => runs.get('netboot')?.[0]?.commandLine ?? []);
  const body = [
    'Four-way exchanges (DISCOVER, OFFER, REQUEST, ACK) by `perfdhcp`, through a relay agent of the same subnet, which is what',
    'perfdhcp is. netboot has every lease on the disk before its reply leaves; Kea (memfile) appends to a file and does not flush it;',
    'dnsmasq writes its whole lease file anew. "done/s" and the percentiles follow from the time stamps of `-x t`.',
    '',
    table(['', ...columns.map(([head]) => head)], rows),
    '',
    `Rising leases: every exchange is a new client, ${rise.rate}/s asked, one run each. dnsmasq does not get there in the time;`,
    'for the rows above it was started with a lease file of that many.',
    '',
    table(['', 'leases at the end', 'done/s', 'lost %', 'OFFER p99 ms', 'MiB'], rising),
    '',
    'The load, by example:',
    '',
    '```',
    ...new Set(commands),
    '```',
  ].join('\n');
  return [goalsSection('DHCP', dhcpGoals(results)), { title: 'DHCP, netboot, Kea and dnsmasq', body }];
}

function dhcpGoals(results: readonly DhcpResult[]): Goal[] {
  return results.flatMap(({ leases, rate, runs }): Goal[] => {
    const ours = runs.get('netboot');
    if (rate === 9_200) {
      const [done, lost] = [of(ours, (run) => run.exchangesPerSecond), of(ours, (run) => run.lossPercent)];
      return [
        {
          text: `DHCP, durable, ${leases} leases: ≥ 9,000 exchanges/s with < 1 % loss`,
          figure: `${done}/s, ${lost} % lost (Kea ${of(runs.get('Kea'), (run) => run.exchangesPerSecond)}/s)`,
          isReached: done >= 9_000 && lost < 1,
        },
      ];
    }
    if (rate !== 2_000) return [];
    const p99 = of(ours, (run) => run.offerP99);
    const text = `DHCP, ${leases} leases, 2,000/s: 99th percentile of OFFER < 5 ms`;
    return [{ text, figure: `${p99} ms`, isReached: p99 < 5 }];
  });
}
