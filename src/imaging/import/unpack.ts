import { createHash } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CommandError, type Filter, Refusal } from '../../model/command.ts';
import { type Compression, UNPACKER } from './compression.ts';
import { writeSparse } from './sparse-file.ts';

/** How far reading a file has come: bytes of the file, compressed as it is. */
export interface ReadProgress {
  readonly done: number;
  readonly total: number;
  /** Bytes a second. */
  readonly rate: number;
}

export interface ReadOptions {
  readonly onProgress?: (progress: ReadProgress) => void;
  readonly signal?: AbortSignal;
}

/** No card is larger; a few megabytes of zeros, well compressed, could fill any disk's address space. */
const LARGEST = 512 * 2 ** 30;
const PROGRESS_MS = 500;
const CHUNK = 2 ** 20;

/** All of an open file, once, hashed on the way. */
class HashedRead {
  readonly #hash = createHash('sha256');
  readonly #file: FileHandle;
  readonly #options: ReadOptions;

  constructor(file: FileHandle, options: ReadOptions) {
    this.#file = file;
    this.#options = options;
  }

  async *chunks(): AsyncGenerator<Buffer> {
    const { onProgress, signal } = this.#options;
    const { size: total } = await this.#file.stat();
    const started = performance.now();
    let told = started;
    let done = 0;
    const tell = () => {
      told = performance.now();
      onProgress?.({ done, total, rate: (done * 1000) / Math.max(1, told - started) });
    };
    // A buffer each: what was yielded is still on its way to the program.
    for (;;) {
      signal?.throwIfAborted();
      const { bytesRead, buffer } = await this.#file.read(Buffer.allocUnsafe(CHUNK), 0, CHUNK, done);
      if (bytesRead === 0) break;
      done += bytesRead;
      const chunk = buffer.subarray(0, bytesRead);
      this.#hash.update(chunk);
      yield chunk;
      if (performance.now() - told > PROGRESS_MS) tell();
    }
    tell();
  }

  digest(): string {
    return this.#hash.digest('hex');
  }
}

/** SHA-256 of an open file, in hex. */
export async function hashFile(file: FileHandle, options: ReadOptions = {}): Promise<string> {
  const read = new HashedRead(file, options);
  for await (const _ of read.chunks());
  return read.digest();
}

/**
 * Unpacks an open file to the new file `to`, with holes for zeros, and hashes it as it is read: once through all of it.
 * What it wrote is removed when it fails.
 * @param name of the file, for the messages.
 * @returns SHA-256 of the compressed file.
 * @throws Refusal: cut short, damaged, without end, or the disk is full.
 */
export async function unpackFile(
  file: FileHandle,
  name: string,
  compression: Exclude<Compression, 'raw'>,
  to: string,
  filter: Filter,
  options: ReadOptions = {},
): Promise<string> {
  const read = new HashedRead(file, options);
  const target = await open(to, 'wx', 0o600);
  try {
    const [program, args] = UNPACKER[compression];
    const { output, ended } = filter(program, args, read.chunks(), options.signal);
    const failure = ended.then(
      () => undefined,
      (error: unknown) => error,
    );
    await writeSparse(target, output, LARGEST);
    const error = await failure;
    if (error !== undefined) throw error;
    return read.digest();
  } catch (error) {
    await rm(to, { force: true });
    options.signal?.throwIfAborted();
    throw explain(error, name, to);
  } finally {
    await target.close();
  }
}

function explain(error: unknown, name: string, to: string): unknown {
  if (error instanceof RangeError) {
    return new Refusal(`${name} unpacks to ${error.message}`, 'No card is so large: it is no image of one', {
      cause: error,
    });
  }
  if ((error as NodeJS.ErrnoException).code === 'ENOSPC') {
    return new Refusal(`The disk of ${dirname(to)} is full before ${name} is unpacked`, 'Make room there', {
      cause: error,
    });
  }
  if (!(error instanceof CommandError)) return error;
  const said = error.stderrTail.split('\n').at(-1) ?? '';
  const what = /unexpected end/i.test(said) || /premature/i.test(said) ? 'is cut short' : 'is damaged';
  return new Refusal(`${name} ${what} (${said})`, 'Download or copy it again', { cause: error });
}
