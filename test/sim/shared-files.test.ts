import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SharedFiles } from '../../src/sim/shared-files.ts';
import type { BlockSink } from '../../src/sim/tftp-client.ts';
import { noise } from '../rack/sealed.ts';

const KERNEL = noise('kernel', 300_000);

/** Writes blocks until `end`; gives the fault, if there is one. */
function write(
  sink: BlockSink,
  bytes: Buffer,
  from: number,
  end: number,
  blksize: number,
): string | undefined {
  for (let at = from; at < end; at += blksize) {
    const block = Buffer.concat([Buffer.of(0, 3, 0, 0), bytes.subarray(at, Math.min(at + blksize, end))]);
    const fault = sink.write(block, 4, block.length - 4);
    if (fault) return fault;
  }
  return undefined;
}

test('Pis that take turns in being first, in blocks of different sizes, get the whole file', () => {
  const files = new SharedFiles();
  const [slow, fast] = [
    files.sink('aaaaaaaa/kernel8.img', 'aaaaaaaa'),
    files.sink('kernel8.img', 'bbbbbbbb'),
  ];
  assert.equal(write(slow, KERNEL, 0, 51_200, 512), undefined);
  assert.equal(write(fast, KERNEL, 0, 146_800, 1468), undefined);
  assert.equal(write(slow, KERNEL, 51_200, 300_000, 512), undefined);
  assert.equal(write(fast, KERNEL, 146_800, 300_000, 1468), undefined);
  for (const sink of [slow, fast]) assert.ok(KERNEL.equals(sink.finish() as Uint8Array));
});

test('one wrong byte is found, under whatever prefix', () => {
  const files = new SharedFiles();
  write(files.sink('aaaaaaaa//kernel8.img', 'aaaaaaaa'), KERNEL, 0, 300_000, 1468);
  const wrong = Buffer.from(KERNEL);
  wrong[200_001] = (wrong[200_001] as number) ^ 1;
  const fault = write(files.sink('bbbbbbbb/kernel8.img', 'bbbbbbbb'), wrong, 0, 300_000, 1468);
  assert.match(fault ?? '', /other bytes than another Pi got, between 199648 and 201116/);
});

test('a file that ends early is found, whoever had it first', () => {
  const files = new SharedFiles();
  const [whole, short] = [files.sink('kernel8.img', 'a'), files.sink('kernel8.img', 'b')];
  write(whole, KERNEL, 0, 200_000, 1000);
  write(short, KERNEL, 0, 150_000, 1000);
  assert.match(String(short.finish()), /^150000 bytes, another Pi got 200000/);
});

test('what is personal is not compared', () => {
  const files = new SharedFiles();
  for (const serial of ['aaaaaaaa', 'bbbbbbbb']) {
    const sink = files.sink(`${serial}/cmdline.txt`, serial);
    assert.equal(sink.write(Buffer.from(serial), 0, 8), undefined);
    assert.equal(Buffer.from(sink.finish()).toString(), serial);
  }
});
