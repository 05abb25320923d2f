import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OpenBootFile } from '../../src/model/boot-file.ts';
import { fetchFile, memoryFile, type Received, rrq, ScriptedClient, serveLoopback } from './loopback.ts';
import { noise } from './noise.ts';

/** Admission in a running engine: what is large waits for one of two slots, and is not dropped. */
const large = noise(200_000);
const small = noise(3000);
let opened = 0;
const openFile: OpenBootFile = async (_client, name) => {
  opened += 1;
  return memoryFile(name === 'small' ? small : large);
};
const serve = () => serveLoopback(openFile, { slots: 2, smallBytes: 4096 });

/** Reads on in lockstep. @returns everything from this packet on, and how long it took */
async function readOn(client: ScriptedClient, packet: Received | undefined) {
  const started = performance.now();
  const blocks: Uint8Array[] = [];
  let next = packet;
  for (let guard = 0; guard < 1000; guard += 1) {
    assert.ok(next?.kind === 'data');
    blocks.push(next.data);
    client.send(next.port, { kind: 'ack', block: next.block });
    if (next.data.length < 512) break;
    next = await client.nextAfter(next.block, 5000);
  }
  return { bytes: Buffer.concat(blocks), ms: performance.now() - started };
}

/** Begins to read a large file and stops after so many blocks, which it keeps on acknowledging slowly. */
async function begin(port: number, address: string, acks: number) {
  const client = await ScriptedClient.open(address);
  client.send(port, rrq('large'));
  let packet = await client.next();
  for (let count = 0; count < acks; count += 1) {
    assert.ok(packet?.kind === 'data');
    client.send(packet.port, { kind: 'ack', block: packet.block });
    packet = await client.nextAfter(packet.block);
  }
  return { client, packet };
}

test('what finds no slot waits and is seen waiting, is kept patient, and is served in its turn', async () => {
  const { server, port } = await serve();
  const first = [await begin(port, '127.0.0.1', 3), await begin(port, '127.0.0.2', 3)];
  const waiting = await ScriptedClient.open('127.0.0.3');
  waiting.send(port, rrq('large'));
  const one = await waiting.next();
  assert.ok(one?.kind === 'data' && one.afterMs < 100, 'the request itself is answered at once');
  waiting.send(one.port, { kind: 'ack', block: 1 });
  const two = await waiting.nextAfter(1);
  assert.ok(two?.kind === 'data', 'one block at once');
  waiting.send(one.port, { kind: 'ack', block: 2 });
  const three = await waiting.nextAfter(2);
  assert.ok(three?.kind === 'data' && three.afterMs > 300 && three.afterMs < 800, `${three?.afterMs} ms`);
  await sleep(150);
  const load = server.load();
  assert.deepEqual([load.running, load.waiting], [2, 1]);
  assert.ok(load.longestWaitMs > 300 && load.longestWaitMs < 5000);

  // Whoever runs gets to its end, and then the slot is free.
  for (const { client, packet } of first) await readOn(client, packet);
  const rest = await readOn(waiting, three);
  assert.ok(Buffer.concat([large.subarray(0, 1024), rest.bytes]).equals(large));
  assert.ok(rest.ms < 1500, `${rest.ms} ms: the pace is over`);
  for (const client of [waiting, ...first.map(({ client }) => client)]) await client.close();
  await sleep(150);
  assert.deepEqual([server.load().running, server.load().waiting], [0, 0]);
  await server.stop();
});

test('small files and probes do not wait behind large ones', async () => {
  const { server, port } = await serve();
  const large = [];
  for (let i = 1; i <= 4; i += 1) large.push(await begin(port, `127.0.0.${i}`, 1));
  const started = performance.now();
  for (let i = 0; i < 10; i += 1) assert.ok((await fetchFile(port, 'small')).equals(small));
  const probe = await ScriptedClient.open('127.0.0.9');
  for (let i = 0; i < 10; i += 1) {
    probe.send(port, rrq('large', { tsize: '0' }));
    const oack = await probe.next();
    assert.ok(oack?.kind === 'oack');
    probe.send(oack.port, { kind: 'error', code: 0, message: 'Early terminate' });
    await sleep(5);
  }
  assert.ok(performance.now() - started < 1000);
  assert.equal(server.counters().earlyTerminated, 10);
  for (const { client } of large) await client.close();
  await probe.close();
  await server.stop();
});

test('a request that comes again while it waits is not served twice, and keeps its place', async () => {
  const { server, port } = await serve();
  const running = [await begin(port, '127.0.0.1', 2), await begin(port, '127.0.0.2', 2)];
  const waiting = await begin(port, '127.0.0.3', 1);
  const before = { opened, transfers: server.transfers() };
  for (let i = 0; i < 3; i += 1) {
    waiting.client.send(port, rrq('large'));
    const again = await waiting.client.next();
    assert.ok(again?.kind === 'data');
    assert.equal(again.port, waiting.packet?.port);
  }
  assert.deepEqual({ opened, transfers: server.transfers() }, before);
  for (const { client } of [...running, waiting]) await client.close();
  await server.stop();
});

test('a client that takes every slot and dawdles does not keep others out', async () => {
  const { server, port } = await serve();
  const greedy = [];
  for (let i = 0; i < 10; i += 1) greedy.push(await begin(port, '127.0.0.66', 2));
  let isOver = false;
  const dawdling = greedy.map(async ({ client, packet }) => {
    for (
      let next = packet;
      next?.kind === 'data' && !isOver;
      next = await client.nextAfter(next.block, 500)
    ) {
      await sleep(100);
      client.send(next.port, { kind: 'ack', block: next.block });
    }
  });
  // Others, each with an address of its own: together they need what the greedy one holds.
  const times = await Promise.all(
    ['127.0.0.11', '127.0.0.12', '127.0.0.13', '127.0.0.14'].map(async (address) => {
      const { client, packet } = await begin(port, address, 0);
      const { bytes, ms } = await readOn(client, packet);
      assert.ok(bytes.equals(large));
      await client.close();
      return ms;
    }),
  );
  assert.ok(Math.max(...times) < 5000, times.join(' '));
  isOver = true;
  await Promise.all(dawdling);
  for (const { client } of greedy) await client.close();
  await server.stop();
});
