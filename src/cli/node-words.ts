import type { NodeStatus, ReportStatus } from '../api/schemas.ts';
import { printable } from './printable.ts';
import { formatBytes } from './table.ts';

/** A state with what belongs to it, on one line: `loading 4.2 MB of 14.0 MB`, `unhealthy: nginx.service failed`. */
export function stateWords({ state, detail, bytes, ofBytes, isImageBuilt }: NodeStatus): string {
  const sum = ofBytes === undefined ? '' : ` of ${formatBytes(ofBytes)}`;
  const progress = bytes === undefined || state === 'asked' ? '' : ` ${formatBytes(bytes)}${sum}`;
  const reason = detail === undefined ? '' : `: ${detail}`;
  const hint = isImageBuilt ? '' : ' (image not built)';
  return printable(state === 'loading' ? `loading${progress}${hint}` : `${state}${reason}${hint}`);
}

/** The generation that a node runs, and the one that it is to boot where that is another. */
export function generationWords({ runs, generation, fallsBackTo }: NodeStatus): string | undefined {
  const next = fallsBackTo ?? generation;
  if (runs === undefined) return next === undefined ? undefined : `→ ${next}`;
  return next === undefined || next === runs ? runs : `${runs} → ${next}`;
}

/** How long ago, by the largest unit that fits: `40 s`, `3 min`, `5 h`, `12 d`. */
export function ageWords(since: string | undefined, now: number): string | undefined {
  return since === undefined ? undefined : durationWords((now - Date.parse(since)) / 1000);
}

export function durationWords(seconds: number): string {
  const length = Math.max(0, Math.round(seconds));
  if (length < 120) return `${length} s`;
  if (length < 2 * 3600) return `${Math.floor(length / 60)} min`;
  if (length < 48 * 3600) return `${Math.floor(length / 3600)} h`;
  return `${Math.floor(length / 86_400)} d`;
}

/** What the node said of itself, a line each. */
export function reportLines(report: ReportStatus, now: number): string[] {
  const { memory, disk, temperature, throttling, failed, target, clockOffset } = report;
  const space = (of: { readonly total: number; readonly available: number }) =>
    `${formatBytes(of.available)} free of ${formatBytes(of.total)}`;
  const offset =
    Math.abs(clockOffset) < 2
      ? 'right'
      : `${durationWords(Math.abs(clockOffset))} ${clockOffset < 0 ? 'behind' : 'ahead'}`;
  const rows: Array<[string, string | undefined]> = [
    ['report', `${durationWords((now - Date.parse(report.at)) / 1000)} ago: ${report.state}`],
    ['runs', `${report.generation}, root ${report.root}`],
    ['uptime', durationWords(report.uptime)],
    ['target', target],
    ['failed', failed.length > 0 ? failed.join(', ') : undefined],
    ['memory', memory && space(memory)],
    ['disk', disk && space(disk)],
    ['temperature', temperature === undefined ? undefined : `${temperature.toFixed(1)} °C`],
    ['throttled', throttling && (throttling.join(', ') || 'no')],
    ['clock', offset],
  ];
  return rows.flatMap(([name, text]) =>
    text === undefined
      ? []
      : [`${name === 'report' ? name.padEnd(11) : `  ${name.padEnd(11)}`} ${printable(text)}`],
  );
}
