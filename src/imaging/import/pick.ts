import { Refusal } from '../../model/command.ts';
import type { FileSystem } from './file-system.ts';

/** A part of the raw image, in bytes. */
export interface Extent {
  readonly offset: number;
  readonly bytes: number;
}

export interface FoundPartition extends Extent {
  /** As the table numbers them, from 1. */
  readonly number: number;
  readonly fileSystem: FileSystem;
}

export interface ImagePartitions {
  /** FAT: what the firmware reads. */
  readonly boot: Extent;
  /** ext4: the system. */
  readonly root: Extent & { readonly number: number };
}

const REMEDY = 'Name the image of a card that a Raspberry Pi boots from';

/**
 * The first FAT partition is the firmware's, as with the Pi; the system is on the largest ext4 partition behind it.
 * @param size of the image, in bytes.
 * @param name of its file, for the messages.
 * @throws Refusal when there is no such pair.
 */
export function pickPartitions(
  partitions: readonly FoundPartition[],
  size: number,
  name: string,
): ImagePartitions {
  const cut = partitions.find(({ fileSystem }) => fileSystem.kind === 'beyond the end');
  if (cut) {
    const missing = cut.offset + cut.bytes - size;
    throw new Refusal(
      `${name} is cut short: its partition ${cut.number} ends ${missing} bytes beyond the end of the image`,
      'Download or copy it again',
    );
  }
  const boot = partitions.find(({ fileSystem }) => fileSystem.kind === 'fat');
  if (!boot) throw new Refusal(`${name} has no boot partition (FAT); it has ${describe(partitions)}`, REMEDY);
  const systems = partitions.filter(
    ({ fileSystem, number }) => fileSystem.kind === 'ext4' && number !== boot.number,
  );
  const root = systems.toSorted((a, b) => b.bytes - a.bytes)[0];
  if (!root)
    throw new Refusal(`${name} has no root partition (ext4); it has ${describe(partitions)}`, REMEDY);
  if (root.fileSystem.kind === 'ext4' && !root.fileSystem.isClean) {
    throw new Refusal(
      `The root file system of ${name} was copied while it was in use: its journal holds changes that are not yet in place`,
      `Shut the Pi down before copying its card; or mend an uncompressed copy: e2fsck -p 'IMAGE?offset=${root.offset}'`,
    );
  }
  return { boot, root };
}

function describe(partitions: readonly FoundPartition[]): string {
  const words = partitions.map(({ number, fileSystem }) => {
    const what = fileSystem.kind === 'other' ? fileSystem.name : fileSystem.kind;
    return `${number}: ${what === 'none' ? 'nothing known' : what}`;
  });
  return words.join(', ') || 'no partitions';
}
