import { median, round } from './figures.ts';
import { type Section, table } from './markdown.ts';
import { type Goal, goalsSection, of, ratio, shown, times } from './report.ts';
import type { TftpResult, TftpRun, TftpServerName } from './tftp.ts';

const speed = (run: TftpRun): number => run.megabytesPerSecond;
const cpuPerGb = (run: TftpRun): number => (run.serverCpuSeconds / run.bytes) * 1e9;
const share = (seconds: number, run: TftpRun): number => (seconds / run.seconds) * 100;

export function tftpSections(results: readonly TftpResult[]): Section[] {
  const single = results.filter(({ cell }) => cell.windowSize === 1);
  const all = results.flatMap(({ runs }) => [...runs.values()].flat());
  const sum = (figure: (run: TftpRun) => number) => all.reduce((total, run) => total + figure(run), 0);
  const pairs = single.map(({ cell, runs }) => ({
    name: `${cell.clients} × ${cell.blockSize}`,
    ours: runs.get('netboot'),
    theirs: runs.get('dnsmasq'),
  }));
  const speeds = pairs.map(({ name, ours, theirs }) => [
    name,
    ...[shown(of(ours, speed), 1), shown(of(theirs, speed), 1), `**${times(ratio(ours, theirs, speed))}**`],
    ...[shown(of(ours, cpuPerGb), 2), shown(of(theirs, cpuPerGb), 2), times(ratio(ours, theirs, cpuPerGb))],
    ...[ours, theirs].flatMap((one) => [
      `${shown(of(one, (run) => share(run.serverCpuSeconds, run)))} %`,
      `${shown(of(one, (run) => share(run.cpuSeconds, run)))} %`,
    ]),
  ]);
  const waits = pairs.map(({ name, ours, theirs }) => [
    name,
    ...[ours, theirs].flatMap((one) => [
      shown(
        of(one, (run) => run.median),
        1,
      ),
      shown(
        of(one, (run) => run.p99),
        1,
      ),
      shown(
        of(one, (run) => run.slowest),
        1,
      ),
      shown(of(one, (run) => run.memory)),
    ]),
  ]);
  const speedHeads = [
    'netboot MB/s',
    'dnsmasq MB/s',
    'ratio',
    'netboot CPU s/GB',
    'dnsmasq CPU s/GB',
    'ratio',
  ];
  const busyHeads = ['netboot busy', 'its load', 'dnsmasq busy', 'its load'];
  const waitHeads = ['netboot', 'dnsmasq'].flatMap((name) => [`${name} median`, 'p99', 'slowest', 'MiB']);
  const lockstep = [
    `Every byte of ${round(sum((run) => run.transfers))} transfers (${(sum((run) => run.bytes) / 1e9).toFixed(1)} GB) was compared:`,
    `${sum((run) => run.wrongBytes)} wrong bytes, ${sum((run) => run.failures)} failed transfers.`,
    'One worker, a file of 2 MiB, one block in flight. "busy" is the share of its processor that the server used, "its load" that of',
    'the load generator: what is near 100 % limited the run. With one client it is neither, but how long two processes take to',
    'wake each other.',
    '',
    table(['clients × block', ...speedHeads, ...busyHeads], speeds),
    '',
    'Milliseconds of one transfer, and the largest resident memory of the server:',
    '',
    table(['clients × block', ...waitHeads], waits),
  ].join('\n');

  const windows = [
    'MB/s and CPU seconds per GB of netboot by RFC 7440 window. dnsmasq 2.90 and tftpd-hpa know no windows.',
    '',
    table(
      ['clients × block', 'window 1', '4', '16', '16 to 1', 'CPU s/GB 1', '4', '16'],
      single.map(({ cell }) => {
        const sized = [1, 4, 16].map((windowSize) =>
          results
            .find(
              ({ cell: other }) =>
                other.clients === cell.clients &&
                other.blockSize === cell.blockSize &&
                other.windowSize === windowSize,
            )
            ?.runs.get('netboot'),
        );
        return [
          `${cell.clients} × ${cell.blockSize}`,
          ...sized.map((runs) => shown(of(runs, speed), 1)),
          times(of(sized[2], speed) / of(sized[0], speed)),
          ...sized.map((runs) => shown(of(runs, cpuPerGb), 2)),
        ];
      }),
    ),
  ].join('\n');

  const hpa = single.filter(({ runs }) => runs.has('tftpd-hpa'));
  const tftpdHpa = [
    'A process per transfer: Linux does not tell the CPU time of those that have ended.',
    '',
    table(
      ['clients × block', 'netboot MB/s', 'tftpd-hpa MB/s', 'ratio', 'failed', 'MiB'],
      hpa.map(({ cell, runs }) => {
        const [ours, theirs] = [runs.get('netboot'), runs.get('tftpd-hpa')];
        const failed = (theirs ?? []).reduce((total, run) => total + run.failures, 0);
        return [
          `${cell.clients} × ${cell.blockSize}`,
          ...[shown(of(ours, speed), 1), shown(of(theirs, speed), 1), times(ratio(ours, theirs, speed))],
          ...[failed, shown(of(theirs, (run) => run.memory))],
        ];
      }),
    ),
  ].join('\n');
  const sealed = [
    "A file of a node's image, `SERIAL/kernel8.img`, beside the same bytes in a plain folder (`tftp.root`):",
    '',
    table(
      ['clients × block', 'plain MB/s', 'sealed MB/s', 'ratio'],
      single
        .filter(({ runs }) => runs.has('netboot, sealed'))
        .map(({ cell, runs }) => {
          const [plain, own] = [runs.get('netboot'), runs.get('netboot, sealed')];
          return [
            `${cell.clients} × ${cell.blockSize}`,
            ...[shown(of(plain, speed), 1), shown(of(own, speed), 1), times(ratio(own, plain, speed))],
          ];
        }),
    ),
  ].join('\n');
  return [
    goalsSection('TFTP', tftpGoals(results)),
    { title: 'TFTP, netboot and dnsmasq', body: lockstep },
    { title: 'TFTP, windows', body: windows },
    { title: 'TFTP, netboot and tftpd-hpa', body: tftpdHpa },
    { title: 'TFTP, plain and sealed files', body: sealed },
  ];
}

/** Those of the goals that these results can answer. */
function tftpGoals(results: readonly TftpResult[]): Goal[] {
  const find = (clients: number, windowSize: number) =>
    results.find(
      ({ cell }) => cell.clients === clients && cell.blockSize === 1468 && cell.windowSize === windowSize,
    )?.runs;
  const goals: Goal[] = [];
  const add = (text: string, value: number, unit: string, isReached: boolean) => {
    if (Number.isFinite(value)) goals.push({ text, figure: `${value.toFixed(2)}${unit}`, isReached });
  };
  for (const clients of [50, 200]) {
    const [ours, theirs] = (['netboot', 'dnsmasq'] as const).map((name) => find(clients, 1)?.get(name));
    const faster = ratio(ours, theirs, speed);
    const dearer = ratio(ours, theirs, cpuPerGb);
    add(`TFTP, 1468-byte blocks, ${clients} clients: ≥ 1.2 × dnsmasq's MB/s`, faster, '×', faster >= 1.2);
    add(`… and no more CPU seconds per GB`, dearer, '×', dearer <= 1);
  }
  const single = ratio(find(1, 1)?.get('netboot'), find(1, 1)?.get('dnsmasq'), speed);
  add('TFTP, 1 client: ≥ 0.95 × dnsmasq', single, '×', single >= 0.95);
  const windowed = ratio(find(10, 16)?.get('netboot'), find(10, 1)?.get('netboot'), speed);
  add('TFTP, 10 clients: window 16 ≥ 1.3 × window 1', windowed, '×', windowed >= 1.3);
  const ours = results.flatMap(({ runs }) => [
    ...(runs.get('netboot') ?? []),
    ...(runs.get('netboot, sealed') ?? []),
  ]);
  const wrong = ours.reduce((sum, run) => sum + run.wrongBytes, 0);
  add('TFTP: no wrong byte', wrong, ' bytes', wrong === 0);
  return goals;
}

/** The figures of another load generator beside ours, against the same servers with the same parameters. */
export interface CrossCheck {
  readonly server: TftpServerName;
  readonly clients: number;
  readonly ours: readonly number[];
  readonly other: readonly number[];
}

export function crossCheckSection(program: string, checks: readonly CrossCheck[]): Section {
  const rows = checks.map(({ server, clients, ours, other }) => [
    `${server}, ${clients} clients`,
    ...[shown(median(ours), 1), shown(median(other), 1), times(median(ours) / median(other))],
  ]);
  const body = [
    `MB/s of the same transfers (1468-byte blocks, one in flight) as \`bench/tftp-load.ts\` and as \`${program}\` saw them, in turns.`,
    'The other is a C program: epoll, and a UDP socket per transfer.',
    '',
    table(['', 'tftp-load.ts', program, 'ratio'], rows),
  ].join('\n');
  return { title: 'Load generators', body };
}
