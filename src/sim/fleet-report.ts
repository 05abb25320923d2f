import type { Ipv4 } from '../net/ipv4.ts';
import type { Mac } from '../net/mac.ts';
import type { Serial } from '../net/serial.ts';
import type { Generation } from './fleet-boards.ts';

/** What one Pi did, or all of them together. */
interface FleetCounts {
  /** Of files that arrived whole. */
  readonly bytes: number;
  /** Files asked for, and how many of them the server did not have. */
  readonly requests: number;
  readonly misses: number;
  /** DISCOVERs and REQUESTs sent beyond the first of each exchange, and RRQs beyond the first of each file. */
  readonly resentDhcp: number;
  readonly resentRrqs: number;
  /** Blocks that came once more after they were acknowledged. */
  readonly duplicateBlocks: number;
  /** How often the boot order began anew (a Pi 4 or 5 whose network boot failed). */
  readonly restarts: number;
}

/** What became of one Pi. */
export interface FleetNode extends FleetCounts {
  readonly serial: Serial;
  readonly mac: Mac;
  readonly generation: Generation;
  readonly outcome: 'booted' | 'failed';
  /** Why the last attempt failed. */
  readonly reason?: string;
  /** From its power-on to the kernel, or to the end of its last attempt. */
  readonly bootMs: number;
  readonly address?: Ipv4;
  readonly kernel?: string;
  /** Reasons of the attempts before the last. */
  readonly failures: readonly string[];
  /** What the wire did to its frames, in both directions. */
  readonly faults: {
    readonly lost: number;
    readonly doubled: number;
    readonly heldBack: number;
    /** Of the faults of its first frames: equal in two runs with one seed. */
    readonly fingerprint: string;
  };
}

export interface FleetSum extends FleetCounts {
  readonly pis: number;
  readonly booted: number;
  readonly failed: number;
  /** Of those that booted; 0 when none did. */
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly slowestMs: number;
}

export interface FleetReport {
  readonly seed: number;
  readonly sum: FleetSum;
  readonly byGeneration: Readonly<Partial<Record<Generation, FleetSum>>>;
  readonly nodes: readonly FleetNode[];
  /** Addresses that more than one Pi was given: a server that does not hold an offer gives it again to the next. */
  readonly sharedAddresses: readonly Ipv4[];
  readonly wire: {
    /** From the first power-on to the last end. */
    readonly elapsedMs: number;
    readonly framesIn: number;
    readonly framesOut: number;
    /** Frames that came faster than this process took them: they spoil the result. */
    readonly overrun: number;
    /** The longest time in which the fleet itself did not get to run: more than a second or two spoils the result, too. */
    readonly longestPauseMs: number;
    /** CPU time of the fleet itself. */
    readonly cpuSeconds: number;
  };
}

export function reportOf(seed: number, nodes: readonly FleetNode[], wire: FleetReport['wire']): FleetReport {
  const generations = [...new Set(nodes.map(({ generation }) => generation))];
  const sums = generations.map((name) => [name, sumOf(nodes.filter((node) => node.generation === name))]);
  return {
    seed,
    sum: sumOf(nodes),
    byGeneration: Object.fromEntries(sums),
    nodes,
    sharedAddresses: shared(nodes),
    wire,
  };
}

function shared(nodes: readonly FleetNode[]): Ipv4[] {
  const seen = new Set<Ipv4>();
  const twice = new Set<Ipv4>();
  for (const { address } of nodes) {
    if (address === undefined) continue;
    if (seen.has(address)) twice.add(address);
    seen.add(address);
  }
  return [...twice];
}

function sumOf(nodes: readonly FleetNode[]): FleetSum {
  const times = nodes
    .filter(({ outcome }) => outcome === 'booted')
    .map(({ bootMs }) => bootMs)
    .sort((a, b) => a - b);
  const rank = (part: number) => times[Math.max(0, Math.ceil(times.length * part) - 1)] ?? 0;
  const total = (value: (node: FleetNode) => number) => nodes.reduce((sum, node) => sum + value(node), 0);
  return {
    pis: nodes.length,
    booted: times.length,
    failed: nodes.length - times.length,
    medianMs: rank(0.5),
    p99Ms: rank(0.99),
    slowestMs: rank(1),
    bytes: total((node) => node.bytes),
    requests: total((node) => node.requests),
    misses: total((node) => node.misses),
    resentDhcp: total((node) => node.resentDhcp),
    resentRrqs: total((node) => node.resentRrqs),
    duplicateBlocks: total((node) => node.duplicateBlocks),
    restarts: total((node) => node.restarts),
  };
}

const HEADINGS = [
  'Pis',
  'count',
  'booted',
  'failed',
  'median',
  '99 %',
  'slowest',
  'MB',
  'requests',
  'misses',
  'DHCP again',
  'RRQ again',
  'blocks twice',
  'restarts',
];

/** The sums as rows of a table, a heading first. */
export function sumRows(report: FleetReport): string[][] {
  const rows = Object.entries(report.byGeneration).map(([name, sum]) => row(name, sum));
  return [HEADINGS, ...rows, row('all', report.sum)];
}

function row(name: string, sum: FleetSum): string[] {
  const { requests, misses, resentDhcp, resentRrqs, duplicateBlocks, restarts } = sum;
  return [
    name,
    String(sum.pis),
    String(sum.booted),
    String(sum.failed),
    ...[sum.medianMs, sum.p99Ms, sum.slowestMs].map((ms) => `${(ms / 1000).toFixed(1)} s`),
    (sum.bytes / 1e6).toFixed(0),
    ...[requests, misses, resentDhcp, resentRrqs, duplicateBlocks, restarts].map(String),
  ];
}

const NODE_HEADINGS = [
  ...['serial', 'Pi', 'outcome', 'time', 'address', 'MB', 'requests', 'misses'],
  ...['DHCP again', 'RRQ again', 'blocks twice', 'restarts', 'frames lost'],
];

/** Every Pi as a row of a table, the slowest last, a heading first. */
export function nodeRows(report: FleetReport): string[][] {
  const rows = [...report.nodes]
    .sort((a, b) => a.bootMs - b.bootMs)
    .map((node) => [
      ...[node.serial, node.generation, node.outcome, `${(node.bootMs / 1000).toFixed(1)} s`],
      ...[node.address ?? '-', (node.bytes / 1e6).toFixed(1)],
      ...[node.requests, node.misses, node.resentDhcp, node.resentRrqs].map(String),
      ...[node.duplicateBlocks, node.restarts, node.faults.lost].map(String),
    ]);
  return [NODE_HEADINGS, ...rows];
}

/** Why Pis failed, most frequent first, with one of them as an example. */
export function failureLines(report: FleetReport): string[] {
  const bySort = new Map<string, FleetNode[]>();
  for (const node of report.nodes) {
    if (node.reason === undefined) continue;
    const sort = `${node.generation}: ${node.reason.replaceAll(node.serial, 'SERIAL').replaceAll(/\d+/g, 'N')}`;
    bySort.set(sort, [...(bySort.get(sort) ?? []), node]);
  }
  return [...bySort.values()]
    .sort((a, b) => b.length - a.length)
    .map((nodes) => {
      const [{ generation, serial, reason } = { generation: '', serial: '', reason: '' }] = nodes;
      return `${nodes.length} × ${generation}, for example ${serial}: ${reason}`;
    });
}
