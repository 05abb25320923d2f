import type { BigIntStats } from 'node:fs';
import { type FileHandle, open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Filter, Refusal, type Run } from '../../model/command.ts';
import type { StepSource } from '../plan/step.ts';
import { type Compression, compressionOf, HEAD_BYTES } from './compression.ts';
import { findPartitions } from './partitions.ts';
import type { ImagePartitions } from './pick.ts';
import { type HashMemory, hashMemory, identityOf } from './remembered-hash.ts';
import { hashFile, type ReadOptions, unpackFile } from './unpack.ts';

/** A step's source, checked and ready to be read. What was unpacked for it goes with the scope. */
export interface OpenedSource extends AsyncDisposable {
  /** For the step's script: $SOURCE, and of an image where its partitions are, in bytes. */
  readonly environment: Readonly<Record<string, string>>;
  /** Called when the step has run. @throws Refusal when the file was changed or removed meanwhile. */
  verify(): Promise<void>;
}

export interface OpenedImage extends OpenedSource {
  /** The raw image: the file itself where that is not compressed. */
  readonly path: string;
  /** Of the file as it lies there. */
  readonly sha256: string;
  readonly partitions: ImagePartitions;
}

export interface SourceOptions extends ReadOptions {
  /** Takes what is unpacked. */
  readonly workFolder: string;
}

export type SourceOpener = (source: StepSource, options: SourceOptions) => Promise<OpenedSource>;

export interface SourcePorts {
  readonly run: Run;
  readonly filter: Filter;
  readonly hashes: HashMemory;
}

/** @param hashesFolder remembers what files were hashed to. */
export function sourceOpener(run: Run, filter: Filter, hashesFolder: string): SourceOpener {
  const ports = { run, filter, hashes: hashMemory(hashesFolder) };
  return (source, options) =>
    source.kind === 'image'
      ? openImage(source.file, source.sha256, ports, options)
      : openTarball(source, ports, options);
}

/**
 * Reads an image once through: checks its sum, unpacks it into a sparse file, finds its partitions.
 * @param expected its SHA-256, where it is known.
 * @throws Refusal
 */
export async function openImage(
  file: string,
  expected: string | undefined,
  ports: SourcePorts,
  options: SourceOptions,
): Promise<OpenedImage> {
  await using source = await openFile(file);
  const compression = await source.compression();
  const known = await ports.hashes.recall(source.stats);
  if (known !== undefined) checkSum(file, known, expected);
  const path = compression === 'raw' ? file : join(options.workFolder, `${crypto.randomUUID()}.img`);
  const remove = () => (path === file ? Promise.resolve() : rm(path, { force: true }));
  try {
    const sha256 =
      compression === 'raw'
        ? (known ?? (await hashFile(source.handle, options)))
        : await unpackFile(source.handle, file, compression, path, ports.filter, options);
    await source.verify();
    checkSum(file, sha256, expected);
    await ports.hashes.remember(source.stats, sha256);
    const partitions = await findPartitions(ports.run, path, file);
    return {
      path,
      sha256,
      partitions,
      environment: {
        SOURCE: path,
        BOOT_OFFSET: `${partitions.boot.offset}`,
        ROOT_OFFSET: `${partitions.root.offset}`,
        ROOT_BYTES: `${partitions.root.bytes}`,
      },
      // Of what was unpacked nobody else knows.
      verify: path === file ? () => checkUnchanged(file, source.stats) : () => Promise.resolve(),
      [Symbol.asyncDispose]: remove,
    };
  } catch (error) {
    await remove();
    if (!options.signal?.aborted) throw error;
    throw new Refusal(`Reading ${file} was stopped`, 'Nothing is left of it', { cause: error });
  }
}

async function openTarball(
  { file, sha256 }: StepSource,
  { hashes }: SourcePorts,
  options: SourceOptions,
): Promise<OpenedSource> {
  await using source = await openFile(file);
  const known = (await hashes.recall(source.stats)) ?? (await hashFile(source.handle, options));
  await source.verify();
  checkSum(file, known, sha256);
  await hashes.remember(source.stats, known);
  return {
    environment: { SOURCE: file },
    verify: () => checkUnchanged(file, source.stats),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

interface SourceFile extends AsyncDisposable {
  readonly handle: FileHandle;
  readonly stats: BigIntStats;
  compression(): Promise<Compression>;
  verify(): Promise<void>;
}

/** @throws Refusal when it cannot be read, or is no regular file. */
export async function openFile(file: string): Promise<SourceFile> {
  const handle = await open(file, 'r').catch((error: NodeJS.ErrnoException) => {
    const problem = error.code === 'ENOENT' ? 'There is no file' : `${error.code}: cannot read`;
    throw new Refusal(`${problem} ${file}`, 'Name an image that is there and can be read', { cause: error });
  });
  const stats = await handle.stat({ bigint: true });
  if (!stats.isFile()) {
    await handle.close();
    throw new Refusal(`${file} is no regular file`, 'Copy a card to a file first, and import that');
  }
  return {
    handle,
    stats,
    async compression() {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
      return compressionOf(buffer.subarray(0, bytesRead), file);
    },
    async verify() {
      if (identityOf(await handle.stat({ bigint: true })) !== identityOf(stats)) throw changed(file);
    },
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

function checkSum(file: string, sha256: string, expected: string | undefined): void {
  if (expected === undefined || expected === sha256) return;
  throw new Refusal(
    `${file} has the SHA-256 ${sha256}, not ${expected}`,
    'It is another file than the one that is meant, or damaged: download it again, or correct the sum',
  );
}

async function checkUnchanged(file: string, before: BigIntStats): Promise<void> {
  const after = await stat(file, { bigint: true }).catch(() => undefined);
  if (!after) throw new Refusal(`${file} is gone while it was read`, 'Put it back and build again');
  if (identityOf(after) !== identityOf(before)) throw changed(file);
}

const changed = (file: string): Refusal =>
  new Refusal(`${file} was changed while it was read`, 'Wait until it is complete and build again');
