import assert from 'node:assert/strict';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createOpenBootFile } from '../../src/boot/open.ts';
import type { OpenBootFile } from '../../src/model/boot-file.ts';
import { silentLog } from '../../src/model/log.ts';
import { Warnings } from '../../src/model/warnings.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import { sampleView } from '../boot/sample-view.ts';
import {
  engines,
  fetchFile,
  fetchWindowed,
  memoryFile,
  rrq,
  ScriptedClient,
  serveLoopback,
} from './loopback.ts';
import { noise } from './noise.ts';

/** Engines in their threads, over real sockets. */
const kernel = noise(400_000);
const openFile: OpenBootFile = async (_client, name) => {
  const size = /^size-(\d+)$/.exec(name)?.[1];
  return memoryFile(size === undefined ? kernel : noise(Number(size)));
};

const logOf = (lines: Array<Record<string, unknown>>) => {
  const take = (fields: object) => void lines.push(fields as Record<string, unknown>);
  return { ...silentLog, warn: take, error: take };
};

let folder: string;
before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'netboot-engine-'));
});
after(() => rm(folder, { recursive: true }));

for (const workers of [1, 2]) {
  test(`windows of 16 blocks arrive as they are and save ACKs, with ${workers} worker(s)`, async () => {
    const { server, port } = await serveLoopback(openFile, {}, { engines: engines(workers) });
    const options = { blksize: '1428', windowsize: '16', tsize: '0' };
    const fetched = await Promise.all(
      Array.from({ length: 4 }, () => fetchWindowed(port, 'kernel', options)),
    );
    for (const { bytes, acks, windowSize } of fetched) {
      assert.ok(bytes.equals(kernel));
      assert.equal(windowSize, 16);
      assert.ok(acks < 30, `${acks} ACKs for 281 blocks`);
    }
    assert.equal(server.load().workers, workers);
    await server.stop();
  });
}

test('blocks lost out of windows come again: the first, one within, the last of all', async () => {
  const { server, port } = await serveLoopback(openFile);
  const options = { blksize: '1468', windowsize: '8' };
  const started = performance.now();
  const { bytes } = await fetchWindowed(port, 'kernel', options, new Set([1, 13, 20, 24, 272, 273]));
  assert.ok(bytes.equals(kernel));
  assert.ok(server.counters().retransmissions >= 4);
  assert.ok(performance.now() - started < 3000);
  await server.stop();
});

test('a file of more than 65535 blocks is counted on from 0 (checklist 39)', async () => {
  const { server, port } = await serveLoopback(openFile);
  const size = 70_000 * 8 + 5;
  const { bytes } = await fetchWindowed(port, `size-${size}`, { blksize: '8', windowsize: '64' });
  assert.ok(bytes.equals(noise(size)));
  await server.stop();
});

test('a file that is longer than a firmware can count is warned of (checklist 39)', async () => {
  const lines: Array<Record<string, unknown>> = [];
  const size = 65_535 * 512;
  const long: OpenBootFile = async () => memoryFile(new Uint8Array(size));
  const { server, port } = await serveLoopback(long, {}, { log: logOf(lines) });
  const client = await ScriptedClient.open();
  client.send(port, rrq('kernel', { tsize: '0' }));
  assert.equal((await client.next())?.kind, 'oack');
  assert.deepEqual(
    lines.map(({ id, size, blockSize }) => ({ id, size, blockSize })),
    [{ id: 'TFTP_LONG_FILE', size, blockSize: 512 }],
  );
  await client.close();
  await server.stop();
});

test('files written over, cut off or replaced while they are read are finished as they were opened', async () => {
  const before = noise(300_000, 'before');
  const plain = createOpenBootFile({
    view: () => sampleView([], []),
    macOf: () => undefined,
    plainRoot: folder,
    log: silentLog,
  });
  const { server, port } = await serveLoopback(plain);
  const changes: Record<string, (file: string) => Promise<void>> = {
    'written over': async (file) => {
      const handle = await open(file, 'r+');
      await handle.write(noise(300_000, 'after'), 0, 300_000, 0);
      await handle.close();
    },
    'cut off': async (file) => (await open(file, 'r+')).truncate(10).catch(assert.fail),
    replaced: async (file) => {
      await rm(file);
      await writeFile(file, noise(100, 'after'));
    },
  };
  for (const [name, change] of Object.entries(changes)) {
    await writeFile(path.join(folder, 'image'), before);
    const client = await ScriptedClient.open();
    client.send(port, rrq('image', { blksize: '1468' }));
    const oack = await client.next();
    assert.ok(oack?.kind === 'oack', name);
    await change(path.join(folder, 'image'));
    const blocks: Uint8Array[] = [];
    for (let block = 0; ; block += 1) {
      client.send(oack.port, { kind: 'ack', block });
      const data = await client.nextAfter(block);
      assert.ok(data?.kind === 'data', name);
      blocks.push(data.data);
      if (data.data.length < 1468) break;
    }
    client.send(oack.port, { kind: 'ack', block: blocks.length });
    assert.ok(Buffer.concat(blocks).equals(before), name);
    await client.close();
    // The next one gets what is there now.
    const now = await readFile(path.join(folder, 'image'));
    assert.ok((await fetchFile(port, 'image')).equals(now), name);
  }
  await server.stop();
});

test('an engine that dies is told of and replaced; what it ran is over, and its clients come again', async () => {
  const order = path.join(folder, 'die');
  process.env.NETBOOT_TEST_DIE = order;
  const lines: Array<Record<string, unknown>> = [];
  const { server, port } = await serveLoopback(
    openFile,
    {},
    { log: logOf(lines), engines: { ...engines(), entry: new URL('./dying-worker.ts', import.meta.url) } },
  );
  for (let death = 1; death <= 2; death += 1) {
    const client = await ScriptedClient.open();
    client.send(port, rrq('kernel'));
    const first = await client.next();
    assert.ok(first);
    await writeFile(order, '');
    client.send(first.port, { kind: 'ack', block: 1 });
    for (let wait = 0; wait < 100 && server.counters().failed < death; wait += 1) await sleep(20);
    assert.equal(server.counters().failed, death);
    assert.equal(server.transfers(), 0);
    assert.deepEqual(lines.filter(({ id }) => id === 'TFTP_ENGINE_DIED').length, death);
    assert.ok((await fetchFile(port, 'kernel')).equals(kernel));
    await client.close();
  }
  assert.ok(server.counters().bytes > 2 * kernel.length, 'what dead engines had counted is not forgotten');
  await server.stop();
});

test('an engine that hangs is warned of as long as it does, and gets nothing new; its clients find another one', async () => {
  const order = path.join(folder, 'hang');
  process.env.NETBOOT_TEST_HANG = order;
  const warnings = new Warnings(silentLog, Date.now);
  const standing = async (count: number) => {
    for (let wait = 0; wait < 200 && warnings.all().length !== count; wait += 1) await sleep(20);
    return warnings.all().map(({ id, text }) => `${id} ${text.slice(0, 6)}`);
  };
  const { server, port } = await serveLoopback(
    openFile,
    {},
    {
      warnings,
      engines: { ...engines(2), entry: new URL('./hanging-worker.ts', import.meta.url), stuckMs: 1200 },
    },
  );
  const clients = await Promise.all([1, 2].map(() => ScriptedClient.open()));
  for (const client of clients) {
    client.send(port, rrq('kernel', { timeout: '10' }));
    assert.equal((await client.next())?.kind, 'oack');
  }
  await writeFile(order, '');
  assert.deepEqual(await standing(1), ['TFTP_ENGINE_STUCK 1 of 2']);
  for (let count = 0; count < 6; count += 1) assert.ok((await fetchFile(port, 'kernel')).equals(kernel));
  for (const client of clients) {
    client.send(port, rrq('kernel', { timeout: '10' }));
    assert.equal((await client.next())?.kind, 'oack', 'whichever engine had it');
  }
  await rm(`${order}.taken`);
  assert.deepEqual(await standing(0), []);
  for (const client of clients) await client.close();
  await server.stop();
});

test('a client port that asks again is answered from another TID, where its late ACKs do no harm', async () => {
  const { server, port } = await serveLoopback(openFile);
  const client = await ScriptedClient.open();
  const tids: number[] = [];
  for (const name of ['size-3', 'size-700', 'size-4']) {
    client.send(port, rrq(name));
    const first = await client.next();
    assert.ok(first?.kind === 'data', name);
    tids.push(first.port);
    if (name === 'size-700') {
      client.send(tids[0] as number, { kind: 'ack', block: 1 }); // of the transfer before
      assert.equal(await client.next(30), undefined, 'neither the next block nor an error');
      client.send(first.port, { kind: 'ack', block: 1 });
      assert.equal((await client.nextAfter(1))?.kind, 'data');
      client.send(first.port, { kind: 'ack', block: 2 });
    } else client.send(first.port, { kind: 'ack', block: 1 });
    await sleep(10);
  }
  assert.equal(new Set(tids.slice(0, 2)).size, 2);
  assert.equal(tids[2], tids[0]);
  assert.deepEqual([server.counters().completed, server.counters().strangers], [3, 0]);
  await client.close();
  await server.stop();
});

test('the errors of a client end its transfer, as what they mean', async () => {
  const { server, port } = await serveLoopback(openFile);
  const ends = { 0: 'earlyTerminated', 8: 'earlyTerminated', 3: 'failed', 4: 'failed' } as const;
  for (const [code, counter] of Object.entries(ends)) {
    const before = server.counters()[counter];
    const client = await ScriptedClient.open();
    client.send(port, rrq('kernel', { tsize: '0' }));
    const oack = await client.next();
    client.send(oack?.port ?? 0, { kind: 'error', code: Number(code), message: 'no' });
    assert.equal(await client.next(100), undefined);
    assert.equal(server.counters()[counter], before + 1, code);
    assert.equal(server.transfers(), 0);
    await client.close();
  }
  await server.stop();
});

test('a lost last ACK keeps a transfer for seconds, not for its whole patience', async () => {
  const { server, port } = await serveLoopback(openFile);
  const client = await ScriptedClient.open();
  client.send(port, rrq('size-600'));
  const first = await client.next();
  client.send(first?.port ?? 0, { kind: 'ack', block: 1 });
  assert.equal((await client.nextAfter(1))?.kind, 'data');
  const started = performance.now();
  while (server.transfers() > 0 && performance.now() - started < 5000) await sleep(50);
  assert.ok(performance.now() - started < 4900);
  assert.equal(server.counters().unconfirmed, 1);
  await client.close();
  await server.stop();
});

test('an interface with another address gets other sockets; what runs is finished by the old ones', async () => {
  let address = '127.0.0.1' as Ipv4;
  const { engineHost } = await import('../../src/host/engine-host.ts');
  const moved = { ...engines(), ...engineHost(() => address) };
  const { server, port } = await serveLoopback(openFile, {}, { engines: moved });
  const [one, two] = [await ScriptedClient.open(), await ScriptedClient.open()];
  one.send(port, rrq('size-700'));
  const before = await one.next();
  address = '127.0.0.7' as Ipv4;
  two.send(port, rrq('size-3'));
  const after = await two.next();
  assert.deepEqual([before?.address, after?.address], ['127.0.0.1', '127.0.0.7']);
  one.send(before?.port ?? 0, { kind: 'ack', block: 1 });
  assert.equal((await one.nextAfter(1))?.kind, 'data');
  for (const client of [one, two]) await client.close();
  await server.stop();
});
