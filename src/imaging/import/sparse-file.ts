import type { FileHandle } from 'node:fs/promises';

/** Holes are as fine as this; what the usual file systems allocate at once. */
const BLOCK = 4096;
const ZEROS = Buffer.alloc(BLOCK);

/**
 * Writes what comes to a new file, in order, but leaves holes where there are only zeros.
 * @returns how many bytes the file has, holes included.
 */
export async function writeSparse(
  file: FileHandle,
  chunks: AsyncIterable<Buffer>,
  limit = Number.POSITIVE_INFINITY,
): Promise<number> {
  let position = 0;
  /** What is left of a block that the last chunk began. */
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const whole = bytes.length - (bytes.length % BLOCK);
    await writeBlocks(file, bytes.subarray(0, whole), position);
    position += whole;
    rest = bytes.subarray(whole);
    if (position > limit) throw new RangeError(`more than ${limit} bytes`);
  }
  await writeAll(file, rest, position);
  await file.truncate(position + rest.length);
  return position + rest.length;
}

/** Each run of blocks that are not all zeros by one write. */
async function writeBlocks(file: FileHandle, blocks: Buffer, position: number): Promise<void> {
  let start = -1;
  for (let offset = 0; offset <= blocks.length; offset += BLOCK) {
    const isData = offset < blocks.length && !blocks.subarray(offset, offset + BLOCK).equals(ZEROS);
    if (isData && start < 0) start = offset;
    if (isData || start < 0) continue;
    await writeAll(file, blocks.subarray(start, offset), position + start);
    start = -1;
  }
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}
