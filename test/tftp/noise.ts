import { createHash } from 'node:crypto';

/** Bytes that differ from block to block, the same in every run. */
export function noise(length: number, seed = ''): Buffer {
  const chunks: Buffer[] = [];
  for (let count = 0; count * 32 < length; count += 1) {
    chunks.push(createHash('sha256').update(`${seed}${count}`).digest());
  }
  return Buffer.concat(chunks).subarray(0, length);
}
