import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openBatchedUdp } from '../../src/host/udp.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';

const HERE = '127.0.0.1' as Ipv4;
const PORT = 40_000 + (process.pid % 20_000);

async function openPair(t: TestContext) {
  const batched = await openBatchedUdp({ interface: 'lo', address: HERE, port: PORT, bufferBytes: 1 << 20 });
  const plain = createSocket('udp4');
  plain.bind(0, HERE);
  await once(plain, 'listening');
  t.after(async () => {
    plain.close();
    await new Promise<void>((resolve) => batched.close(resolve));
  });
  return { batched, plain, port: plain.address().port };
}

async function until(condition: () => boolean): Promise<void> {
  for (const giveUpAt = Date.now() + 3000; !condition() && Date.now() < giveUpAt; ) await sleep(2);
}

test('every datagram that waited is shown once, in order, with its sender', async (t) => {
  const { batched, plain, port } = await openPair(t);
  const heard: string[] = [];
  batched.on('message', (bytes, source) =>
    heard.push(`${source.address}:${source.port} ${Buffer.from(bytes)}`),
  );
  for (let count = 0; count < 300; count++) plain.send(`number ${count}`, PORT, HERE);
  await until(() => heard.length >= 300);
  assert.deepEqual(
    heard,
    Array.from({ length: 300 }, (_, count) => `127.0.0.1:${port} number ${count}`),
  );
});

test('what is sent in one turn arrives, each with its own word on how it went', async (t) => {
  const { batched, plain, port } = await openPair(t);
  const heard: string[] = [];
  plain.on('message', (bytes) => heard.push(String(bytes)));
  const results: string[] = [];
  for (let count = 0; count < 200; count++) {
    // There is no port 0.
    const to = count === 100 ? 0 : port;
    batched.send(Buffer.from(`number ${count}`), to, HERE, (error) =>
      results.push(error ? 'failed' : 'sent'),
    );
  }
  await until(() => heard.length >= 199);
  assert.equal(heard.length, 199);
  assert.deepEqual(
    [results.length, results.indexOf('failed'), results.lastIndexOf('failed')],
    [200, 100, 100],
  );
});

test('a datagram longer than any message is shown too long, not cut to a right one', async (t) => {
  const { batched, plain } = await openPair(t);
  const lengths: number[] = [];
  batched.on('message', (bytes) => lengths.push(bytes.length));
  for (const length of [0, 1, 4096, 4200, 65_507]) plain.send(Buffer.alloc(length), PORT, HERE);
  await until(() => lengths.length >= 5);
  assert.deepEqual(lengths.slice(0, 3), [0, 1, 4096]);
  assert.ok(lengths.slice(3).every((length) => length > 4096));
});

test('after it is closed nothing is sent, its descriptor is free and its port another one can have', async () => {
  const descriptors = async () => (await readFile('/proc/self/status', 'utf8')).match(/FDSize:\s+(\d+)/)?.[1];
  const before = await descriptors();
  for (let round = 0; round < 20; round++) {
    const socket = await openBatchedUdp({ interface: 'lo', address: HERE, port: PORT });
    await new Promise<void>((resolve) => socket.close(resolve));
    const told = await new Promise((resolve) => socket.send(Buffer.from('x'), PORT, HERE, resolve));
    assert.ok(told instanceof Error);
  }
  assert.equal(await descriptors(), before);
});
