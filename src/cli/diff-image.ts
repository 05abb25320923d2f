import type { Command } from 'commander';
import type { GenerationAnswer } from '../api/image-routes.ts';
import type { Changes, Comparable, FileChange, GenerationDiff } from '../imaging/generation/diff.ts';
import type { ListedFile } from '../imaging/generation/listing.ts';
import { callApi, fetchFile } from './client.ts';
import { generationPath } from './show-image.ts';
import { formatBytes } from './table.ts';

/** Lines of each kind that a person wants to see before asking for all. */
const LINES = 20;

export function addDiffCommand(program: Command): void {
  program
    .command('diff-image <from> <to>')
    .description('what differs between two generations: packages, files, sizes, boot tree and settings')
    .addHelpText('after', '\nEach is a generation, or an image whose published generation is meant.')
    .option('--all', `every line, and not only the first ${LINES} of a kind`)
    .option('--json', 'for scripts')
    .action(async (from: string, to: string, { all, json }: { all?: boolean; json?: boolean }) => {
      const { diffGenerations } = await import('../imaging/generation/diff.ts');
      const diff = diffGenerations(await comparable(program, from), await comparable(program, to));
      console.log(
        json ? JSON.stringify(diff, null, 2) : formatDiff(diff, all ? Number.POSITIVE_INFINITY : LINES),
      );
    });
}

async function comparable(program: Command, reference: string): Promise<Comparable> {
  const { generation, has } = await callApi<GenerationAnswer>(program, 'GET', generationPath(reference));
  if (!has.includes('files')) return { generation };
  const { unpackListing } = await import('../imaging/generation/listing.ts');
  // By its id: an image may be published anew between two calls.
  const packed = await fetchFile(program, `${generationPath(generation.id)}/files`);
  return { generation, files: unpackListing(packed) };
}

/** @param limit lines of each kind. */
export function formatDiff(diff: GenerationDiff, limit: number): string {
  const { packages, files, boot, settings, sizes } = diff;
  const lines = [`from ${diff.from} to ${diff.to}${sameness(diff)}`];
  lines.push(
    ...section('packages', packages, limit, {
      one: ({ name, version }) => `${name} ${version}`,
      change: ({ name, from, to }) => `${name} ${from} → ${to}`,
    }),
  );
  if (files)
    lines.push(...section('files of the root', files, limit, { one: describeFile, change: describeChange }));
  else lines.push('files of the root: not known, as one of the two was sealed without a list of them');
  lines.push(
    ...section('boot tree', boot, limit, {
      one: ({ path, size }) => `${path} ${formatBytes(size)}`,
      change: ({ path, from, to }) => `${path} ${between(from, to)}`,
    }),
    settings.length === 0 ? 'settings: the same' : 'settings:',
    ...settings.map(({ key, from, to }) => {
      if (from !== undefined && to !== undefined) return `  ~ ${key}: ${from} → ${to}`;
      return to === undefined ? `  - ${key}: ${from}` : `  + ${key}: ${to}`;
    }),
    `sizes: root ${between(sizes.root.from, sizes.root.to)}, boot tree ${between(sizes.boot.from, sizes.boot.to)}`,
  );
  return lines.join('\n');
}

function sameness({ from, to, isSameContent }: GenerationDiff): string {
  if (from === to) return ': the same generation';
  return isSameContent ? ': nodes get the same, to the byte' : '';
}

function section<Entry, Change>(
  title: string,
  { added, removed, changed }: Changes<Entry, Change>,
  limit: number,
  words: { one: (entry: Entry) => string; change: (change: Change) => string },
): string[] {
  const kinds = [
    { sign: '+', word: 'added', texts: added.map(words.one) },
    { sign: '-', word: 'removed', texts: removed.map(words.one) },
    { sign: '~', word: 'changed', texts: changed.map(words.change) },
  ].filter(({ texts }) => texts.length > 0);
  if (kinds.length === 0) return [`${title}: the same`];
  return [
    `${title}: ${kinds.map(({ word, texts }) => `${texts.length} ${word}`).join(', ')}`,
    ...kinds.flatMap(({ sign, word, texts }) => [
      ...texts.slice(0, limit).map((text) => `  ${sign} ${text}`),
      ...(texts.length > limit ? [`    and ${texts.length - limit} more ${word} (--all)`] : []),
    ]),
  ];
}

function describeFile(file: ListedFile): string {
  if (file.type === 'l') return `${printable(file.path)} → ${printable(file.target ?? '')}`;
  return `${printable(file.path)}${file.type === 'd' ? '/' : ''} ${formatBytes(file.size) ?? ''}`.trimEnd();
}

function describeChange({ path, what, from, to }: FileChange): string {
  const parts = what.map((kind) => {
    switch (kind) {
      case 'content':
        return from.size === to.size ? 'content' : `content ${between(from.size ?? 0, to.size ?? 0)}`;
      case 'mode':
        return `mode ${from.mode} → ${to.mode}`;
      case 'owner':
        return `owner ${from.uid}:${from.gid} → ${to.uid}:${to.gid}`;
      case 'target':
        return `${printable(from.target ?? '')} → ${printable(to.target ?? '')}`;
      case 'type':
        return `type ${from.type} → ${to.type}`;
    }
    return kind satisfies never;
  });
  return `${printable(path)}: ${parts.join(', ')}`;
}

/** A file name may hold anything, and a terminal obeys some of it. */
const printable = (text: string): string => text.replaceAll(/\p{Cc}/gu, '?');

function between(from: number, to: number): string {
  if (from === to) return `${formatBytes(to)}`;
  const sign = to > from ? '+' : '-';
  return `${formatBytes(from)} → ${formatBytes(to)} (${sign}${formatBytes(Math.abs(to - from))})`;
}
