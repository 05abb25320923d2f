import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import koffi from 'koffi';
import { mapFile } from '../../src/host/native-memory.ts';

test('a mapped file has the bytes that were put in its place, and stays what it was on the disk', async () => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'netboot-patch-'));
  const file = path.join(folder, 'file');
  const bytes = randomBytes(100_000);
  await writeFile(file, bytes);
  for (const [at, length] of [
    [99_000, 1000],
    [5000, 9000],
    [0, 1],
    [100_000, 0],
  ] as const) {
    await using handle = await open(file);
    const patch = { at, bytes: randomBytes(length) };
    const expected = Buffer.concat([bytes.subarray(0, at), patch.bytes, bytes.subarray(at + length)]);
    const memory = mapFile(handle.fd, bytes.length, patch);
    const plain = mapFile(handle.fd, bytes.length);
    const seen = (address: number) => Buffer.from(koffi.view(BigInt(address), bytes.length).slice(0));
    assert.ok(seen(memory.address).equals(expected), `${at}`);
    assert.ok(seen(plain.address).equals(bytes));
    memory.release();
    plain.release();
  }
  assert.ok((await readFile(file)).equals(bytes));
  await rm(folder, { recursive: true });
});
