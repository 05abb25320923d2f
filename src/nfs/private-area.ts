import { constants } from 'node:fs';
import { chmod, type FileHandle, lstat, mkdir, open, rename, rm } from 'node:fs/promises';
import { z } from 'zod';
import type { Instant } from '../model/lease.ts';
import { DISK_SIZES, isDiskSize } from '../model/size.ts';
import type { Prepared } from './applied.ts';
import { areasFolder } from './confine.ts';
import { checkFileSystem, growFileSystem, makeFileSystem, mendFileSystem } from './disk-image.ts';
import { readIfThere, writeDurably } from './durable-file.ts';
import { type Area, type Disk, diskSchema } from './export.ts';
import { remove, removeFolder } from './remove.ts';

/** What we know of a node's disks; beside their folder, for in that the node writes what it likes. */
const recordSchema = z.object({ epoch: z.number(), sizes: z.record(z.string(), z.number()) });
type AreaRecord = z.output<typeof recordSchema>;

/** One that its node has replaced by a link leads nowhere, and by a FIFO holds nobody up. */
const FLAGS = constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Something a node has put where its disk ought to be, or a size that no disk can have. */
class Unfit extends Error {}

/**
 * Makes a node's folder and the disks in it. A disk is made, and grows, beside the folder, and moves in when it is whole:
 * killed at any moment, nothing is left that is taken for a disk, and none is lost. The folder is exported to its node for
 * writing, so that nothing in it is believed: no link is followed, nothing but a plain file is opened, and who looks into
 * that is nobody (disk-image.ts). Disks whose growing was cut short are mended until the time of day `mendUntil`.
 *
 * Its node may be running from one disk while another cannot be made: as long as it has one, what is wrong is a remark.
 */
export async function prepareArea(
  path: string,
  area: Area,
  exportsFolder: string,
  mendUntil: Instant,
): Promise<Prepared> {
  const parent = areasFolder({ exportsFolder });
  const workshop = `${parent}/.netboot`;
  for (const folder of [exportsFolder, parent, workshop, path]) await makeOwnFolder(folder, exportsFolder);
  const files = `${workshop}/${path.slice(parent.length + 1)}`;
  const before = await readRecord(`${files}.json`);
  const isReset = before !== undefined && area.epoch > before.epoch;
  const record: AreaRecord = {
    epoch: Math.max(area.epoch, before?.epoch ?? 0),
    sizes: isReset ? {} : { ...before?.sizes },
  };
  const placesOf = (name: Disk['name']): Places => ({
    target: `${path}/${name}`,
    making: `${files}.${name}.new`,
    away: `${files}.${name}.away`,
    growing: `${files}.${name}.growing`,
  });
  const names = diskSchema.shape.name.options;
  // What it has no more; what it has is replaced.
  const dropped = isReset ? names.filter((each) => area.disks.every(({ name }) => name !== each)) : [];
  for (const name of dropped) for (const old of Object.values(placesOf(name))) await remove(old);
  // The reset may be cut short: what is known of the old disks says nothing of the new ones. On a full disk they make room first.
  if (isReset)
    await writeDurably(`${files}.json`, JSON.stringify({ epoch: before.epoch, sizes: {} })).catch(() => {});
  const faults: string[] = [];
  const remarks: string[] = [];
  for (const disk of area.disks) {
    try {
      const remark = await prepareDisk(disk, placesOf(disk.name), {
        isReset,
        sizes: record.sizes,
        mayGrow: () => Date.now() < (area.growUntil ?? 0),
        mendUntil,
      });
      if (remark !== undefined) remarks.push(remark);
    } catch (error) {
      faults.push(inWords(error as NodeJS.ErrnoException, disk, exportsFolder));
    }
  }
  const hasDisk = async () =>
    (await Promise.all(names.map((name) => isPlain(placesOf(name).target)))).includes(true);
  if (faults.length > 0 && (isReset || !(await hasDisk()))) return { problem: faults.join('; ') };
  // Of a reset only when all are new: asked for once more, it begins again.
  const text = JSON.stringify(record);
  if (text !== JSON.stringify(before)) {
    await writeDurably(`${files}.json`, text).catch((error: NodeJS.ErrnoException) => {
      if (isReset || !before) throw error;
      remarks.push(`what is known of its disks could not be stored: ${error.message}`);
    });
  }
  const all = [...faults, ...remarks];
  if (all.length === 0) return {};
  return { remark: all.join('; '), ...(faults.length > 0 ? { isIncomplete: true } : {}) };
}

interface Places {
  /** Where its node has it. */
  readonly target: string;
  readonly making: string;
  /** While it is checked. */
  readonly away: string;
  /** While it grows: what is left there may be half of the new size, and is mended before its node has it. */
  readonly growing: string;
}

interface Wishes {
  readonly isReset: boolean;
  /** The largest that each was made or grown to; kept up to date. */
  readonly sizes: Record<string, number>;
  readonly mayGrow: () => boolean;
  readonly mendUntil: Instant;
}

/** A remark in words, when the disk is kept back, or not as large as asked for. @throws Unfit, CommandError, or what the disk says. */
async function prepareDisk(disk: Disk, places: Places, wishes: Wishes): Promise<string | undefined> {
  const { target, making, away, growing } = places;
  const { isReset, sizes, mayGrow, mendUntil } = wishes;
  const { name, bytes } = disk;
  await rm(making, { force: true });
  const keptBack = isReset ? undefined : await takeBack(name, places, mendUntil);
  if (keptBack !== undefined) return keptBack;
  if (!isDiskSize(bytes)) throw new Unfit(`${name} cannot have ${inMebibytes(bytes)}: give it ${DISK_SIZES}`);
  if (isReset) {
    for (const old of [away, growing]) await remove(old);
    await removeFolder(target);
  }
  const size = isReset ? undefined : await sizeOf(target);
  if (size === undefined) {
    await makeDisk(disk, making, target);
    sizes[name] = bytes;
    return undefined;
  }
  const largest = sizes[name] ?? size;
  sizes[name] = largest;
  if (bytes === largest) return undefined;
  if (bytes < largest)
    return `${name} has ${inMebibytes(largest)} and never shrinks to ${inMebibytes(bytes)}: netboot reset-private makes it anew, empty`;
  if (!mayGrow())
    return `${name} has ${inMebibytes(largest)}; it grows to ${inMebibytes(bytes)} when the node boots next`;
  const remark = await grow(disk, places);
  if (remark === undefined) sizes[name] = bytes;
  return remark;
}

async function grow({ name, bytes }: Disk, places: Places): Promise<string | undefined> {
  const { target, away, growing } = places;
  await rename(target, away);
  try {
    await using file = await openPlain(away);
    await checkFileSystem(file);
    await rename(away, growing);
    await growFileSystem(file, bytes);
    await file.sync();
    await rename(growing, target);
    return undefined;
  } catch (error) {
    const remark = `${name} could not grow to ${inMebibytes(bytes)}: ${(error as Error).message}`;
    const keptBack = await takeBack(name, places);
    return keptBack === undefined ? remark : `${remark}; ${keptBack}`;
  }
}

/** Gives back to its node a disk that was away when its growing ended. A remark in words, when it is not sound: then it stays. */
async function takeBack(
  name: string,
  { target, away, growing }: Places,
  mendUntil?: Instant,
): Promise<string | undefined> {
  if (await isThere(growing)) {
    try {
      await using file = await openPlain(growing);
      await mendFileSystem(file, mendUntil);
      await file.sync();
    } catch (error) {
      return [
        `${name} is kept back, for it was cut short while it grew, and could not be mended: ${(error as Error).message}`,
        'it is tried again whenever the exports are applied',
        `by hand: e2fsck -f -y ${growing}, or netboot reset-private makes it anew, empty`,
      ].join('; ');
    }
    await rename(growing, away);
  }
  if (await isThere(away)) await rename(away, target);
  return undefined;
}

async function makeDisk(disk: Disk, making: string, target: string): Promise<void> {
  try {
    await using file = await open(making, 'wx+', 0o600);
    await makeFileSystem(file, disk);
    await file.sync();
    await rename(making, target);
  } catch (error) {
    await rm(making, { force: true });
    throw error;
  }
}

/** `undefined` when nothing is there. @throws Unfit when it is no plain file. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const found = await lstat(path);
    if (!found.isFile()) throw new Unfit(`${path} is no disk: the node has put something else there`);
    return found.size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** @throws Unfit when it is something else by now. */
async function openPlain(path: string): Promise<FileHandle> {
  const file = await open(path, FLAGS);
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new Unfit(`${path} is no plain file`);
}

const isThere = async (path: string): Promise<boolean> => (await sizeOf(path)) !== undefined;

const isPlain = (path: string): Promise<boolean> =>
  lstat(path).then(
    (found) => found.isFile(),
    () => false,
  );

/** 0700 and root's, but for the folder of all exports. @throws Unfit when something else has its name. */
async function makeOwnFolder(path: string, exportsFolder: string): Promise<void> {
  const isCommon = path === exportsFolder;
  const made = await mkdir(path, { recursive: isCommon, mode: isCommon ? 0o755 : 0o700 }).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return false;
      throw error;
    },
  );
  if (!made && !isCommon && !(await lstat(path)).isDirectory()) throw new Unfit(`${path} is no folder`);
  if (made && !isCommon) await chmod(path, 0o700);
}

async function readRecord(path: string): Promise<AreaRecord | undefined> {
  const text = await readIfThere(path);
  return text === undefined ? undefined : recordSchema.parse(JSON.parse(text));
}

const inMebibytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)}M`;

function inWords(error: NodeJS.ErrnoException, { name }: Disk, exportsFolder: string): string {
  const isFull = error.code === 'ENOSPC' || error.code === 'EDQUOT' || /No space left/.test(error.message);
  if (isFull) return `the disk of ${exportsFolder} is full: make room there, and ${name} is made`;
  if (error.code === 'EFBIG') return `the file system of ${exportsFolder} takes no ${name} as large as that`;
  return error.message;
}
