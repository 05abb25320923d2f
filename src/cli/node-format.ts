import type { NodeStatus, ProfileStatus } from '../api/schemas.ts';
import { ageWords, reportLines, stateWords } from './node-words.ts';
import { formatTable } from './table.ts';

/** What its state has in it. */
const OF_STATE: ReadonlySet<string> = new Set(['detail', 'since', 'bytes', 'ofBytes', 'isImageBuilt']);

/** A node for people: a line per value, with who says it where that may be another than the node. */
export function formatNode(
  { origins = {}, files = [], report, ...node }: NodeStatus,
  now: number = Date.now(),
): string {
  const age = node.since === undefined ? '' : `  (for ${ageWords(node.since, now)}, since ${node.since})`;
  const lines = Object.entries({ ...node, state: `${stateWords(node)}${age}` })
    .filter(([key, value]) => value !== undefined && !OF_STATE.has(key))
    .map(([key, value]) => {
      const origin = origins[key as keyof typeof origins];
      return `${key.padEnd(11)} ${formatSetting(value)}${origin ? `  (${origin})` : ''}`;
    });
  return [...lines, ...(report ? reportLines(report, now) : []), ...formatFiles(files)].join('\n');
}

/** A block file as it is given: `4G:/var/lib/containers`. */
export function formatSetting(value: unknown): string {
  if (value === true) return 'on';
  if (value === false) return 'off';
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.values(value).join(':');
}

/** Files by all but their content. */
export function formatFiles(
  files: ReadonlyArray<ProfileStatus['files'][number] & { readonly origin?: string }>,
): string[] {
  if (files.length === 0) return [];
  const hasOrigin = files.some(({ origin }) => origin !== undefined);
  const rows = files.map(({ path, mode, owner, group, bytes, sha256, origin }) => [
    path,
    mode,
    `${owner}:${group}`,
    bytes,
    sha256,
    ...(hasOrigin ? [origin] : []),
  ]);
  const heading = ['FILE', 'MODE', 'OWNER', 'BYTES', 'SHA-256', ...(hasOrigin ? ['FROM'] : [])];
  return ['', formatTable(heading, rows)];
}
