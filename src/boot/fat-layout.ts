import { directoryBytes, type Folder, folderTree, LABEL, type Stamp, walk } from './fat-directory.ts';
import { UnfitForFat } from './fat-names.ts';

/**
 * A FAT32 file system as a list of what lies where, so that it can be read without ever having been written: its own
 * structures are bytes, its files stay where they are. What many images have in common comes first (the head), the few
 * files that are one image's own come last (the tail, with the root directory, which tells their sizes): the head and
 * its hash serve them all. One FAT and one sector per cluster, as the vendor's rpi-make-boot-image has it.
 */

/** A part of the image: bytes, or a file of the tree by its path. Between the pieces there are zeros. */
export interface Piece {
  readonly at: number;
  readonly length: number;
  readonly content: Uint8Array | string;
}

export interface Head {
  /** Of the whole image, in bytes. */
  readonly size: number;
  /** Where the tail begins; it goes to the image's end. */
  readonly tailAt: number;
  /** Of the head, by place, none overlapping. */
  readonly pieces: readonly Piece[];
  readonly root: Folder;
  /** Name → clusters of each file of the tail. */
  readonly own: ReadonlyMap<string, number>;
  readonly stamp: Stamp;
}

const SECTOR = 512;
const RESERVED_SECTORS = 32;
const BACKUP_SECTOR = 6;
/** With fewer, whoever counts the clusters takes it for a FAT16 ("FAT type determination" of Microsoft's specification). */
const FEWEST_CLUSTERS = 65_525 + 16;
/** A FAT32's file sizes, and what firmware gives a RAM disk, end far below. */
const MOST_CLUSTERS = 2 ** 32 / SECTOR - 1;
const END_OF_CHAIN = 0x0fff_ffff;

export const clustersOf = (bytes: number): number => Math.ceil(bytes / SECTOR);

/**
 * @param files path → size of each file that the images share.
 * @param own name → size of each that is an image's own, in the root folder; only the clusters it takes matter.
 * @throws UnfitForFat when such a file system cannot hold a name, or all of them.
 */
export function layoutHead(
  files: ReadonlyMap<string, number>,
  own: ReadonlyMap<string, number>,
  { volumeId, stamp }: { readonly volumeId: number; readonly stamp: Stamp },
): Head {
  const root = folderTree(files, [...own.keys()]);
  const ownClusters = new Map([...own].map(([name, size]) => [name, clustersOf(size)]));
  const folders = [...walk(root)];

  const runs: Array<{ readonly start: number; readonly clusters: number }> = [];
  let next = 2;
  const give = (bytes: number): number => {
    const run = { start: next, clusters: clustersOf(bytes) };
    runs.push(run);
    next += run.clusters;
    return run.start;
  };
  for (const folder of folders) if (folder !== root) folder.start = give(folder.bytes);
  for (const folder of folders)
    for (const file of folder.files) if (file.size > 0) file.start = give(file.size);

  const used = next;
  const tailClusters = [...ownClusters.values()].reduce((sum, count) => sum + count, clustersOf(root.bytes));
  const clusters = Math.max(FEWEST_CLUSTERS, used - 2 + tailClusters);
  if (clusters > MOST_CLUSTERS) throw new UnfitForFat('so many bytes');
  const tailStart = 2 + clusters - tailClusters;
  next = tailStart;
  for (const count of ownClusters.values()) give(count * SECTOR);
  root.start = give(root.bytes);

  const fat = fatBytes(clusters, runs);
  const dataAt = RESERVED_SECTORS * SECTOR + fat.length;
  const placeOf = (cluster: number): number => dataAt + (cluster - 2) * SECTOR;
  const reserved = reservedBytes({
    volumeId,
    fatSectors: fat.length / SECTOR,
    rootStart: root.start,
    sectors: dataAt / SECTOR + clusters,
    freeClusters: tailStart - used,
    firstFree: used,
  });
  const bytesAt = (at: number, content: Uint8Array): Piece => ({ at, length: content.length, content });
  const pieces: Piece[] = [bytesAt(0, reserved), bytesAt(reserved.length, fat)];
  for (const folder of folders)
    if (folder !== root) pieces.push(bytesAt(placeOf(folder.start), directoryBytes(folder, stamp)));
  for (const folder of folders)
    for (const { name, size, start } of folder.files)
      if (size > 0) pieces.push({ at: placeOf(start), length: size, content: folder.name + name });
  return { size: placeOf(clusters + 2), tailAt: placeOf(tailStart), pieces, root, own: ownClusters, stamp };
}

/** The bytes from `head.tailAt` to the end. @param contents name → bytes of each own file; its clusters as laid out. */
export function renderTail(head: Head, contents: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const { root, own, stamp, size, tailAt } = head;
  const bytes = new Uint8Array(size - tailAt);
  const tailClusters = [...own.values()].reduce((sum, count) => sum + count, 0);
  let cluster = root.start - tailClusters;
  const entries = [...own].map(([name, clusters]) => {
    const content = contents.get(name) ?? new Uint8Array();
    if (clustersOf(content.length) !== clusters) throw new RangeError(`${name} does not fill its place`);
    const start = clusters === 0 ? 0 : cluster;
    bytes.set(content, (cluster - (root.start - tailClusters)) * SECTOR);
    cluster += clusters;
    return { name, size: content.length, start };
  });
  bytes.set(directoryBytes(root, stamp, entries), tailClusters * SECTOR);
  return bytes;
}

function fatBytes(
  clusters: number,
  runs: ReadonlyArray<{ readonly start: number; readonly clusters: number }>,
): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(((clusters + 2) * 4) / SECTOR) * SECTOR);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x0fff_fff8, true);
  view.setUint32(4, END_OF_CHAIN, true);
  for (const { start, clusters: count } of runs) {
    const last = start + count - 1;
    for (let cluster = start; cluster <= last; cluster++)
      view.setUint32(cluster * 4, cluster < last ? cluster + 1 : END_OF_CHAIN, true);
  }
  return bytes;
}

/** What comes before the FAT: the boot sector, the count of free clusters, and a copy of both. */
function reservedBytes(volume: {
  readonly volumeId: number;
  readonly fatSectors: number;
  readonly rootStart: number;
  readonly sectors: number;
  readonly freeClusters: number;
  readonly firstFree: number;
}): Uint8Array {
  const boot = new Uint8Array(SECTOR);
  const view = new DataView(boot.buffer);
  const text = (at: number, characters: string) => boot.set(new TextEncoder().encode(characters), at);
  boot.set([0xeb, 0x58, 0x90]);
  text(3, 'netboot ');
  view.setUint16(11, SECTOR, true);
  boot[13] = 1; // sectors per cluster
  view.setUint16(14, RESERVED_SECTORS, true);
  boot[16] = 1; // FATs
  boot[21] = 0xf8; // a fixed disk
  view.setUint16(24, 1, true); // sectors per track and
  view.setUint16(26, 1, true); // heads: any size is a whole number of tracks
  view.setUint32(32, volume.sectors, true);
  view.setUint32(36, volume.fatSectors, true);
  view.setUint32(44, volume.rootStart, true);
  view.setUint16(48, 1, true); // sector of the count of free clusters
  view.setUint16(50, BACKUP_SECTOR, true);
  boot[64] = 0x80;
  boot[66] = 0x29; // the next three fields are there
  view.setUint32(67, volume.volumeId, true);
  text(71, LABEL);
  text(82, 'FAT32   ');
  view.setUint16(510, 0xaa55, true);

  const info = new DataView(new ArrayBuffer(SECTOR));
  info.setUint32(0, 0x4161_5252, true);
  info.setUint32(484, 0x6141_7272, true);
  info.setUint32(488, volume.freeClusters, true);
  info.setUint32(492, volume.firstFree, true);
  info.setUint32(508, 0xaa55_0000, true);

  const bytes = new Uint8Array(RESERVED_SECTORS * SECTOR);
  for (const sector of [0, BACKUP_SECTOR]) {
    bytes.set(boot, sector * SECTOR);
    bytes.set(new Uint8Array(info.buffer), (sector + 1) * SECTOR);
  }
  return bytes;
}
