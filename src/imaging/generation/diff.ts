import { type BootSettings, bootTreeBytes, type Generation } from '../../model/generation.ts';
import type { ListedFile } from './listing.ts';

/** What one side has and the other has not, and what both have but not alike. */
export interface Changes<Entry, Change> {
  readonly added: readonly Entry[];
  readonly removed: readonly Entry[];
  readonly changed: readonly Change[];
}

export interface SizedFile {
  readonly path: string;
  readonly size: number;
}

/** A file that both have; `what` tells in which respects it is another one. */
export interface FileChange {
  readonly path: string;
  readonly what: ReadonlyArray<'content' | 'type' | 'mode' | 'owner' | 'target'>;
  readonly from: ListedFile;
  readonly to: ListedFile;
}

/** One setting, as text; a line that only one side has is `from` or `to` alone. */
export interface SettingChange {
  readonly key: string;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
}

export interface GenerationDiff {
  readonly from: string;
  readonly to: string;
  /** To the byte what a node gets; undefined where a generation is too old to tell. */
  readonly isSameContent: boolean | undefined;
  readonly sizes: Readonly<Record<'root' | 'boot', { readonly from: number; readonly to: number }>>;
  readonly packages: Changes<
    { readonly name: string; readonly version: string },
    { readonly name: string; readonly from: string; readonly to: string }
  >;
  /** Undefined where a generation is too old to have a list of its files. */
  readonly files: Changes<ListedFile, FileChange> | undefined;
  readonly boot: Changes<SizedFile, { readonly path: string; readonly from: number; readonly to: number }>;
  /** Kernel, command line, lines of config.txt, roles, variables, architecture, recipes. */
  readonly settings: readonly SettingChange[];
}

/** A generation with the list of its files, where it has one. */
export interface Comparable {
  readonly generation: Generation;
  readonly files?: readonly ListedFile[] | undefined;
}

/** What a node gets to see when it boots `b` after `a`. */
export function diffGenerations(a: Comparable, b: Comparable): GenerationDiff {
  const [from, to] = [a.generation, b.generation];
  const packages = compare(Object.entries(from.packages), Object.entries(to.packages), (x, y) => x === y);
  const boot = compare(
    Object.entries(from.boot.files),
    Object.entries(to.boot.files),
    (x, y) => x.sha256 === y.sha256,
  );
  return {
    from: from.id,
    to: to.id,
    isSameContent: from.contains && to.contains ? from.contains === to.contains : undefined,
    sizes: {
      root: { from: from.root.size, to: to.root.size },
      boot: { from: bootTreeBytes(from), to: bootTreeBytes(to) },
    },
    packages: {
      added: packages.added.map(([name, version]) => ({ name, version })),
      removed: packages.removed.map(([name, version]) => ({ name, version })),
      changed: packages.changed.map(([name, x, y]) => ({ name, from: x, to: y })),
    },
    files: a.files && b.files && diffFiles(a.files, b.files),
    boot: {
      added: boot.added.map(([path, { size }]) => ({ path, size })),
      removed: boot.removed.map(([path, { size }]) => ({ path, size })),
      changed: boot.changed.map(([path, x, y]) => ({ path, from: x.size, to: y.size })),
    },
    settings: diffSettings(from, to),
  };
}

function diffFiles(a: readonly ListedFile[], b: readonly ListedFile[]): Changes<ListedFile, FileChange> {
  const entries = (files: readonly ListedFile[]) => files.map((file) => [file.path, file] as const);
  const found = compare(entries(a), entries(b), (x, y) => whatDiffers(x, y).length === 0);
  return {
    added: found.added.map(([, file]) => file),
    removed: found.removed.map(([, file]) => file),
    changed: found.changed.map(([path, from, to]) => ({ path, what: whatDiffers(from, to), from, to })),
  };
}

function whatDiffers(a: ListedFile, b: ListedFile): FileChange['what'] {
  if (a.type !== b.type) return ['type'];
  return [
    ...(a.sha256 === b.sha256 ? [] : (['content'] as const)),
    ...(a.target === b.target ? [] : (['target'] as const)),
    ...(a.mode === b.mode ? [] : (['mode'] as const)),
    ...(a.uid === b.uid && a.gid === b.gid ? [] : (['owner'] as const)),
  ];
}

function diffSettings(a: Generation, b: Generation): SettingChange[] {
  const named = (generation: Generation): Array<[string, string]> => [
    ['architecture', generation.arch],
    ['kernel', generation.boot.kernel],
    ...(generation.boot.initramfs ? [['initramfs', generation.boot.initramfs] as [string, string]] : []),
    ...Object.entries(generation.roles).map(([name, { target }]): [string, string] => [
      `role ${name}`,
      target,
    ]),
    ...Object.entries(generation.origin?.variables ?? {}).map(([name, value]): [string, string] => [
      `variable ${name}`,
      `${value}`,
    ]),
    ...(generation.origin?.chain ?? []).map(({ image, recipe }): [string, string] => [
      `recipe ${image}`,
      recipe.slice(0, 12),
    ]),
  ];
  const found = compare(named(a), named(b), (x, y) => x === y);
  return [
    ...found.changed.map(([key, from, to]) => ({ key, from, to })),
    ...found.removed.map(([key, from]) => ({ key, from })),
    ...found.added.map(([key, to]) => ({ key, to })),
    ...diffLines('config.txt', a.boot.config, b.boot.config),
    ...diffLines('cmdline.txt', a.boot.cmdline, b.boot.cmdline),
  ];
}

/** Lines that only one side has; when it is the same lines in another order, each side as a whole. */
function diffLines(key: string, a: BootSettings['config'], b: BootSettings['config']): SettingChange[] {
  const removed = a.filter((line) => !b.includes(line));
  const added = b.filter((line) => !a.includes(line));
  if (removed.length + added.length === 0 && a.join('\n') !== b.join('\n'))
    return [{ key: `${key} (order)`, from: a.join(' '), to: b.join(' ') }];
  return [...removed.map((from) => ({ key, from })), ...added.map((to) => ({ key, to }))];
}

/** Sorted by key, in one pass over both. */
function compare<Value>(
  a: ReadonlyArray<readonly [string, Value]>,
  b: ReadonlyArray<readonly [string, Value]>,
  isSame: (x: Value, y: Value) => boolean,
): Changes<readonly [string, Value], readonly [string, Value, Value]> {
  const [before, after] = [new Map(a), new Map(b)];
  const byKey = (x: readonly [string, ...unknown[]], y: readonly [string, ...unknown[]]) =>
    x[0] < y[0] ? -1 : 1;
  return {
    added: [...after].filter(([key]) => !before.has(key)).sort(byKey),
    removed: [...before].filter(([key]) => !after.has(key)).sort(byKey),
    changed: [...before]
      .flatMap(([key, x]) => {
        const y = after.get(key);
        return y === undefined || isSame(x, y) ? [] : [[key, x, y] as const];
      })
      .sort(byKey),
  };
}
