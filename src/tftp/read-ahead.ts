import type { BootFile } from '../model/boot-file.ts';

const CHUNK_BYTES = 64 * 1024;
const EMPTY = new Uint8Array(0);

/**
 * The blocks of a file, read in chunks ahead of the ACKs, so that a block is nearly always a slice of memory. It
 * holds two chunks at most: the one being sent and the next.
 */
export class ReadAhead {
  readonly #file: BootFile;
  readonly #blockSize: number;
  readonly #blocksPerChunk: number;
  readonly #chunks = new Map<number, Uint8Array | Promise<Uint8Array>>();

  constructor(file: BootFile, blockSize: number) {
    this.#file = file;
    this.#blockSize = blockSize;
    this.#blocksPerChunk = Math.max(1, Math.floor(CHUNK_BYTES / blockSize));
  }

  /** Block `block` (from 1), at once where it is in memory. @throws Error when the file cannot be read any more. */
  block(block: number): Uint8Array | Promise<Uint8Array> {
    const offset = (block - 1) * this.#blockSize;
    if (offset >= this.#file.size) return EMPTY;
    const index = Math.floor((block - 1) / this.#blocksPerChunk);
    const from = offset - index * this.#chunkBytes;
    const slice = (chunk: Uint8Array) => chunk.subarray(from, from + this.#blockSize);
    const chunk = this.#chunk(index);
    for (const held of this.#chunks.keys()) {
      if (held !== index && held !== index + 1) this.#chunks.delete(held);
    }
    if ((index + 1) * this.#chunkBytes < this.#file.size) this.#chunk(index + 1);
    return chunk instanceof Uint8Array ? slice(chunk) : chunk.then(slice);
  }

  get #chunkBytes(): number {
    return this.#blocksPerChunk * this.#blockSize;
  }

  #chunk(index: number): Uint8Array | Promise<Uint8Array> {
    const held = this.#chunks.get(index);
    if (held) return held;
    const reading = this.#read(index * this.#chunkBytes).then((chunk) => {
      if (this.#chunks.get(index) === reading) this.#chunks.set(index, chunk);
      return chunk;
    });
    // Nobody may ever ask for a chunk that was read ahead; who does ask still sees the failure.
    reading.catch(() => {});
    this.#chunks.set(index, reading);
    return reading;
  }

  async #read(offset: number): Promise<Uint8Array> {
    const expected = Math.min(this.#chunkBytes, this.#file.size - offset);
    const chunk = await this.#file.read(offset, expected);
    if (chunk.length !== expected) throw new Error('the file is shorter than when it was opened');
    return chunk;
  }
}
