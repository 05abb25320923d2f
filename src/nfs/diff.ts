import type { Export } from './export.ts';

export type ExportChange =
  | { readonly kind: 'added'; readonly entry: Export }
  | { readonly kind: 'removed'; readonly entry: Export }
  | { readonly kind: 'changed'; readonly from: Export; readonly to: Export };

const sameSet = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((each) => b.includes(each));

/** True when exporting `b` over `a` would change nothing; the order of clients and options means nothing. */
export function isSameExport(a: Export, b: Export): boolean {
  return a.squashfs === b.squashfs && sameSet(a.clients, b.clients) && sameSet(a.options, b.options);
}

/** What has to be done to come from `before` to `after`, by path; removals first. */
export function diffExports(before: readonly Export[], after: readonly Export[]): ExportChange[] {
  const old = new Map(before.map((entry) => [entry.path, entry]));
  const wanted = new Set(after.map((entry) => entry.path));
  const removed = before
    .filter(({ path }) => !wanted.has(path))
    .map((entry) => ({ kind: 'removed' as const, entry }));
  const others = after.flatMap((entry): ExportChange[] => {
    const from = old.get(entry.path);
    if (!from) return [{ kind: 'added', entry }];
    return isSameExport(from, entry) ? [] : [{ kind: 'changed', from, to: entry }];
  });
  return [...removed, ...others];
}

/** One change in words, for the log and for people. */
export function describeChange(change: ExportChange): string {
  if (change.kind === 'removed') return `${change.entry.path} is no longer exported`;
  if (change.kind === 'added') return `${change.entry.path} is exported to ${audience(change.entry)}`;
  const { from, to } = change;
  const parts = [
    sameSet(from.clients, to.clients) ? '' : `clients ${audience(from)} → ${audience(to)}`,
    sameSet(from.options, to.options) ? '' : `options ${from.options.join(',')} → ${to.options.join(',')}`,
    from.squashfs === to.squashfs ? '' : `root ${from.squashfs ?? 'none'} → ${to.squashfs ?? 'none'}`,
  ];
  return `${to.path} changed: ${parts.filter((part) => part !== '').join('; ')}`;
}

const audience = (entry: Export): string => entry.clients.join(', ') || 'nobody';
