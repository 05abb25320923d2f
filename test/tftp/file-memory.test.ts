import assert from 'node:assert/strict';
import { mkdtemp, open, rm, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createOpenBootFile } from '../../src/boot/open.ts';
import { engineHost } from '../../src/host/engine-host.ts';
import { silentLog } from '../../src/model/log.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import { FileMemories } from '../../src/tftp/file-memory.ts';
import { sampleView } from '../boot/sample-view.ts';
import { engines, memoryFile, rrq, ScriptedClient, serveLoopback } from './loopback.ts';
import { noise } from './noise.ts';

const client = { address: '127.0.0.1' as Ipv4, interface: 'lo' };
let folder: string;
let now = 0;
before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'netboot-memory-'));
});
after(() => rm(folder, { recursive: true }));

const openPlain = () =>
  createOpenBootFile({
    view: () => sampleView([], []),
    macOf: () => undefined,
    plainRoot: folder,
    log: silentLog,
  });

async function opened(name: string) {
  const file = await openPlain()(client, name);
  assert.ok(file.kind === 'file');
  return file;
}

test('a file is in memory once for all who read it, and for a while after; a rewritten one is another', async () => {
  const files = new FileMemories(engineHost(() => undefined).memory, () => now);
  await writeFile(path.join(folder, 'kernel'), noise(100_000));
  const held = await Promise.all([1, 2, 3].map(async () => files.hold(await opened('kernel'))));
  assert.equal(new Set(held.map(({ address }) => address)).size, 1);
  assert.equal(files.size, 1);
  await writeFile(path.join(folder, 'kernel'), noise(100_000, 'other'));
  const other = await files.hold(await opened('kernel'));
  assert.notEqual(other.address, held[0]?.address);
  for (const one of [...held, other]) one.release();
  files.sweep();
  assert.equal(files.size, 2, 'the second reading of a Pi comes soon');
  now += 60_000;
  files.sweep();
  assert.equal(files.size, 0);
});

test('each reading of a file in memory is told when it ends, however many share it and long it is kept', async () => {
  const files = new FileMemories(engineHost(() => undefined).memory, () => now);
  await writeFile(path.join(folder, 'shared'), noise(10_000));
  const done: string[] = [];
  const read = async (who: string) => files.hold({ ...(await opened('shared')), done: () => done.push(who) });
  const [probe, reading, other] = [await read('probe'), await read('reading'), await read('other')];
  assert.deepEqual(done, []);
  probe.release();
  other.release();
  other.release();
  assert.deepEqual(done, ['probe', 'other']);
  reading.release();
  now += 60_000;
  files.sweep();
  assert.deepEqual(done, ['probe', 'other', 'reading']);
});

test('what nobody can name is copied for each reader and given back at once', async () => {
  const files = new FileMemories(engineHost(() => undefined).memory, () => now);
  let closed = 0;
  const onClose = () => {
    closed += 1;
  };
  const held = await files.hold(memoryFile(noise(10), onClose));
  assert.equal(files.size, 1);
  held.release();
  held.release();
  assert.equal(files.size, 0);
  await new Promise(setImmediate);
  assert.equal(closed, 1);
});

test('a file that is shorter than it says cannot be held', async () => {
  const files = new FileMemories(engineHost(() => undefined).memory, () => now);
  const shrunk = { ...memoryFile(noise(10)), size: 20 };
  await assert.rejects(files.hold(shrunk), /shorter/);
  assert.equal(files.size, 0);
});

test('a disk that cannot tell whether a mapped file is as it was counts as a change', async () => {
  const files = new FileMemories(engineHost(() => undefined).memory, () => now, 1000);
  await writeFile(path.join(folder, 'large'), noise(5000));
  const file = await opened('large');
  assert.ok(file.source);
  const isUnchanged = () => Promise.reject(new Error('ESTALE'));
  const held = await files.hold({ ...file, source: { ...file.source, isUnchanged } });
  assert.equal(held.isFirm, false);
  assert.equal(await held.isUnchanged(), false);
  held.release();
  files.sweep(0);
});

test('many files are copied up to 64 MiB together, and no single one of more than 16 MiB', async () => {
  const { memory } = engineHost(() => undefined);
  let copied = 0;
  const allocateMemory = (length: number) => {
    copied += length;
    return memory.allocateMemory(length);
  };
  const files = new FileMemories({ ...memory, allocateMemory }, () => now);
  const MiB = 1 << 20;
  const held = [];
  for (const [index, size] of [17, 16, 15, 15, 15, 15].entries()) {
    const name = path.join(folder, `plain-${index}`);
    await writeFile(name, '');
    await truncate(name, size * MiB);
    held.push(await files.hold(await opened(`plain-${index}`)));
  }
  assert.deepEqual(
    held.map(({ isFirm }) => isFirm),
    [false, true, true, true, true, false],
  );
  assert.equal(copied, 61 * MiB);
  for (const one of held) one.release();
  files.sweep(0);
});

test('a file too large to be copied is mapped; written to while it is sent, its transfer ends with an error', async () => {
  for (const [change, name] of [
    [async (file: string) => (await open(file, 'r+')).truncate(4096), 'cut off'],
    [async (file: string) => (await open(file, 'r+')).write(Buffer.from('x'), 0, 1, 0), 'written to'],
  ] as const) {
    const file = path.join(folder, 'huge');
    await writeFile(file, noise(200_000));
    const { server, port } = await serveLoopback(
      openPlain(),
      {},
      { engines: { ...engines(), maxCopyBytes: 1000 } },
    );
    const reader = await ScriptedClient.open();
    reader.send(port, rrq('huge', { blksize: '1024' }));
    const oack = await reader.next();
    await change(file);
    let packet = oack;
    for (let block = 0; packet && packet.kind !== 'error' && block < 150; block += 1) {
      reader.send(packet.port, { kind: 'ack', block });
      packet = await reader.nextAfter(block);
      if (name === 'written to') await sleep(20);
    }
    assert.ok(packet?.kind === 'error', name);
    assert.match(packet.message, /cannot read this file any more|changed while it was read/);
    for (let wait = 0; wait < 50 && server.counters().failed === 0; wait += 1) await sleep(20);
    assert.equal(server.counters().failed, 1);
    await reader.close();
    await server.stop();
  }
});
