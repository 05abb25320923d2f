import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { CommandError, Refusal, type Run } from '../../model/command.ts';
import { type FileSystem, fileSystemOf, PROBE_BYTES } from './file-system.ts';
import { type FoundPartition, type ImagePartitions, pickPartitions } from './pick.ts';

/** What `sfdisk --json` says of a disk image; it knows MBR, with its extended partitions, and GPT. */
interface PartitionTable {
  readonly partitiontable: {
    readonly label: string;
    readonly sectorsize?: number;
    readonly partitions?: readonly {
      readonly start: number;
      readonly size: number;
      readonly uuid?: string;
    }[];
  };
}

/**
 * Finds boot and root partition in a raw image.
 * @param name of what it was unpacked from, for the messages.
 * @throws Refusal: no partitions, none that fits, or one that goes beyond the end of the file.
 */
export async function findPartitions(run: Run, raw: string, name: string): Promise<ImagePartitions> {
  const { partitiontable } = await readTable(run, raw, name);
  const { partitions = [], sectorsize = 512 } = partitiontable;
  const file = await open(raw, 'r');
  try {
    const { size } = await file.stat();
    const found: FoundPartition[] = [];
    for (const [index, { start, size: sectors }] of partitions.entries()) {
      const place = { number: index + 1, offset: start * sectorsize, bytes: sectors * sectorsize };
      const isWhole = place.offset + place.bytes <= size;
      const fileSystem = isWhole ? await probe(file, place.offset) : { kind: 'beyond the end' as const };
      found.push({ ...place, fileSystem });
    }
    return pickPartitions(found, size, name);
  } finally {
    await file.close();
  }
}

async function readTable(run: Run, raw: string, name: string): Promise<PartitionTable> {
  try {
    return JSON.parse(await run('sfdisk', ['--json', raw])) as PartitionTable;
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    throw new Refusal(
      `${name} has no partition table that can be read (${error.stderrTail.split('\n').at(-1)})`,
      'Name the image of a whole card, as the Raspberry Pi Imager writes it',
      { cause: error },
    );
  }
}

async function probe(file: FileHandle, offset: number): Promise<FileSystem> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(PROBE_BYTES), 0, PROBE_BYTES, offset);
  return fileSystemOf(buffer.subarray(0, bytesRead));
}
