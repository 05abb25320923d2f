import { ENTRY_BYTES, entryCount, longNameEntries, shortNames } from './fat-names.ts';

/** Date and time as FAT writes them. */
export interface Stamp {
  readonly date: number;
  readonly time: number;
}

/** What a directory entry tells of a file. `start`: its first cluster, 0 for an empty file. */
export interface FatFile {
  readonly name: string;
  readonly size: number;
  start: number;
}

/** A directory of the file system to be; `start` is filled in when its clusters are given away. */
export interface Folder {
  readonly name: string;
  readonly parent?: Folder;
  readonly folders: readonly Folder[];
  readonly files: readonly FatFile[];
  /** Of every name in it. */
  readonly short: ReadonlyMap<string, string>;
  /** Of the directory itself. */
  readonly bytes: number;
  start: number;
}

/** The volume's name: eleven bytes, in the boot sector and as the first entry of the root. */
export const LABEL = 'NETBOOT    ';

const ATTRIBUTE = { file: 0x20, folder: 0x10, label: 0x08 } as const;

/**
 * The root of a tree of these files.
 * @param ownNames of files that will be in the root besides; an image has at least one.
 * @throws UnfitForFat for names that FAT cannot hold.
 */
export function folderTree(files: ReadonlyMap<string, number>, ownNames: readonly string[]): Folder {
  const paths = [...files.keys()].sort();
  const grow = (prefix: string, below: readonly string[], parent?: Folder): Folder => {
    const inner = Map.groupBy(below, (path) => path.slice(prefix.length).split('/', 1)[0] as string);
    const isFile = (name: string) => files.has(prefix + name);
    const names = [...inner.keys(), ...(parent ? [] : ownNames)];
    const short = shortNames(names);
    // The root has its label, every other directory "." and "..".
    const entries = names.reduce(
      (sum, name) => sum + entryCount(name, short.get(name) as string),
      parent ? 2 : 1,
    );
    const folders: Folder[] = [];
    const folder: Folder = {
      name: prefix,
      ...(parent ? { parent } : {}),
      folders,
      files: [...inner.keys()]
        .filter(isFile)
        .map((name) => ({ name, size: files.get(prefix + name) as number, start: 0 })),
      short,
      bytes: entries * ENTRY_BYTES,
      start: 0,
    };
    for (const [name, paths] of inner)
      if (!isFile(name)) folders.push(grow(`${prefix}${name}/`, paths, folder));
    return folder;
  };
  return grow('', paths);
}

/** A folder and all below it, each before those in it. */
export function* walk(folder: Folder): Generator<Folder> {
  yield folder;
  for (const inner of folder.folders) yield* walk(inner);
}

/** The directory as it lies on the disk. @param own files of the root that are one image's own. */
export function directoryBytes(folder: Folder, stamp: Stamp, own: readonly FatFile[] = []): Uint8Array {
  const entries: Uint8Array[] = [];
  const add = (short: string, attribute: number, start: number, size = 0) =>
    entries.push(entryOf(short, attribute, start, size, stamp));
  const { parent, short } = folder;
  if (!parent) add(LABEL, ATTRIBUTE.label, 0);
  else {
    add('.'.padEnd(11), ATTRIBUTE.folder, folder.start);
    // The root is written as cluster 0 here, wherever it is.
    add('..'.padEnd(11), ATTRIBUTE.folder, parent.parent ? parent.start : 0);
  }
  for (const inner of folder.folders) {
    const name = inner.name.slice(folder.name.length, -1);
    entries.push(...longNameEntries(name, short.get(name) as string));
    add(short.get(name) as string, ATTRIBUTE.folder, inner.start);
  }
  for (const { name, start, size } of [...folder.files, ...own]) {
    entries.push(...longNameEntries(name, short.get(name) as string));
    add(short.get(name) as string, ATTRIBUTE.file, start, size);
  }
  const bytes = new Uint8Array(entries.length * ENTRY_BYTES);
  for (const [index, entry] of entries.entries()) bytes.set(entry, index * ENTRY_BYTES);
  return bytes;
}

/** A moment as FAT writes it, in UTC; there is none before 1980. */
export function stampOf(moment: Date): Stamp {
  const year = Math.max(1980, Math.min(2107, moment.getUTCFullYear()));
  return {
    date: ((year - 1980) << 9) | ((moment.getUTCMonth() + 1) << 5) | moment.getUTCDate(),
    time: (moment.getUTCHours() << 11) | (moment.getUTCMinutes() << 5) | (moment.getUTCSeconds() >> 1),
  };
}

function entryOf(short: string, attribute: number, start: number, size: number, stamp: Stamp): Uint8Array {
  const entry = new Uint8Array(ENTRY_BYTES);
  for (let index = 0; index < short.length; index++) entry[index] = short.charCodeAt(index);
  const view = new DataView(entry.buffer);
  entry[11] = attribute;
  // Created, accessed, written.
  view.setUint16(14, stamp.time, true);
  view.setUint16(16, stamp.date, true);
  view.setUint16(18, stamp.date, true);
  view.setUint16(20, start >>> 16, true);
  view.setUint16(22, stamp.time, true);
  view.setUint16(24, stamp.date, true);
  view.setUint16(26, start & 0xffff, true);
  view.setUint32(28, size, true);
  return entry;
}
