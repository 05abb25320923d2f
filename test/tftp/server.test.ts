import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OpenBootFile } from '../../src/model/boot-file.ts';
import { silentLog } from '../../src/model/log.ts';
import { fetchFile, type Loopback, memoryFile, rrq, ScriptedClient, serveLoopback } from './loopback.ts';
import { noise } from './noise.ts';

const kernel = noise(300_000);
let opened = 0;
let closed = 0;
const openFile: OpenBootFile = async (_client, path) => {
  const size = /^size-(\d+)$/.exec(path)?.[1];
  const bytes = path === 'kernel' ? kernel : size === undefined ? undefined : noise(Number(size));
  if (path === 'broken') throw new Error('a mistake of the opener');
  if (path === 'slow') await sleep(300);
  if (path === 'shrunk') return { ...memoryFile(kernel), read: async () => new Uint8Array(3) };
  if (!bytes) return { kind: 'missing', reason: `no file ${path}` };
  opened += 1;
  return memoryFile(bytes, () => {
    closed += 1;
  });
};

let loopback: Loopback;
before(async () => {
  loopback = await serveLoopback(openFile);
});
after(() => loopback.server.stop());

/** Runs `play` with a client of its own against the shared server, and says how the counters changed. */
async function withClient(play: (client: ScriptedClient, port: number) => Promise<void>) {
  const before = loopback.server.counters();
  const client = await ScriptedClient.open();
  try {
    await play(client, loopback.port);
  } finally {
    await client.close();
  }
  await sleep(10); // the last datagram to the server is still on its way
  const now = loopback.server.counters();
  return Object.fromEntries(
    Object.entries(now).map(([name, count]) => [name, count - before[name as keyof typeof before]]),
  );
}

for (const size of [0, 1, 511, 512, 513, 1024, 64 * 1024, 64 * 1024 + 1, 300_000]) {
  test(`a file of ${size} bytes arrives as it is, with and without options`, async () => {
    for (const options of [{}, { tsize: '0' }, { tsize: '0', blksize: '1024' }, { blksize: '1468' }]) {
      assert.deepEqual(await fetchFile(loopback.port, `size-${size}`, options), noise(size));
    }
  });
}

test('without options DATA 1 is the answer, from a port that is not the service port (checklist 29)', async () => {
  await withClient(async (client, port) => {
    client.send(port, rrq('kernel'));
    const first = await client.next();
    assert.ok(first?.kind === 'data' && first.block === 1 && first.data.length === 512);
    assert.notEqual(first.port, port);
    client.send(first.port, { kind: 'error', code: 0, message: 'Early terminate' });
  });
});

test('a miss is answered with ERROR 1 in under 50 ms, every time (checklist 33)', async () => {
  const counted = await withClient(async (client, port) => {
    for (const name of ['recovery.elf', 'autoboot.txt', 'dt-blob.bin', 'bootsig.bin', '../etc/passwd', '']) {
      client.send(port, rrq(name, { tsize: '0' }));
      const answer = await client.next();
      assert.ok(answer?.kind === 'error');
      assert.deepEqual([answer.code, answer.message], [1, `no file ${name}`]);
      assert.ok(answer.afterMs < 50, `${answer.afterMs} ms`);
    }
  });
  assert.equal(counted.missed, 6);
});

test('misses of every boot are for debugging, others for a person; a flood of them fills no log', async () => {
  const lines: string[] = [];
  const take = (level: string) => (fields: object) => void lines.push(`${level} ${Object(fields).id}`);
  const log = { ...silentLog, debug: take('debug'), info: take('info') };
  const watched = await serveLoopback(openFile, {}, { log });
  const client = await ScriptedClient.open();
  for (const name of ['recovery.elf', 'initramfs9']) {
    client.send(watched.port, rrq(name));
    assert.equal((await client.next())?.kind, 'error');
  }
  assert.deepEqual(lines, ['debug TFTP_MISS', 'info TFTP_MISS']);
  const started = performance.now();
  for (let count = 0; count < 1000; count += 1) {
    client.send(watched.port, count % 2 === 0 ? rrq('initramfs9') : rrq('kernel', {}, 'mail'));
    assert.equal((await client.next())?.kind, 'error');
  }
  const seconds = Math.ceil((performance.now() - started) / 1000) + 1;
  assert.ok(lines.length <= 2 + 200 * seconds, `${lines.length} lines in ${seconds} s`);
  await client.close();
  await watched.server.stop();
});

test('a probe that is terminated early is a normal end and is not sent anything more (checklist 34)', async () => {
  const counted = await withClient(async (client, port) => {
    client.send(port, rrq('kernel', { tsize: '0', blksize: '1468' }));
    const oack = await client.next();
    assert.ok(oack?.kind === 'oack');
    assert.deepEqual(Object.fromEntries(oack.options), { tsize: '300000', blksize: '1468' });
    client.send(oack.port, { kind: 'error', code: 0, message: 'Early terminate' });
    assert.equal(await client.next(1200), undefined);
  });
  assert.equal(counted.earlyTerminated, 1);
  assert.equal(counted.timeouts, 0);
});

test('duplicate ACKs are not answered; a lost block comes again (checklist 37, 38)', async () => {
  await withClient(async (client, port) => {
    // Its timeout is kept, so that nothing is repeated for another reason.
    client.send(port, rrq('kernel', { timeout: '1' }));
    const first = await client.next();
    assert.ok(first?.kind === 'oack');
    client.send(first.port, { kind: 'ack', block: 0 });
    assert.equal((await client.next())?.kind, 'data');
    client.send(first.port, { kind: 'ack', block: 1 });
    const second = await client.next();
    assert.ok(second?.kind === 'data' && second.block === 2);
    for (let count = 0; count < 3; count += 1) client.send(first.port, { kind: 'ack', block: 1 });
    assert.equal(await client.next(500), undefined);
    const again = await client.next(1500);
    assert.deepEqual(again?.kind === 'data' && Buffer.from(again.data), kernel.subarray(512, 1024));
    client.send(first.port, { kind: 'error', code: 0, message: '' });
  });
});

test('the same request again restarts the transfer on the same TID (checklist 36)', async () => {
  await withClient(async (client, port) => {
    client.send(port, rrq('kernel'));
    const first = await client.next();
    assert.ok(first?.kind === 'data');
    client.send(port, rrq('kernel'));
    const again = await client.next();
    assert.deepEqual(again?.kind === 'data' && [again.block, again.port], [1, first.port]);
    assert.ok(again && again.afterMs < 500, 'at once');
    client.send(first.port, { kind: 'ack', block: 1 });
    const second = await client.next();
    assert.deepEqual(second?.kind === 'data' && second.block, 2);
    assert.equal(loopback.server.transfers(), 1);

    client.send(first.port, { kind: 'ack', block: 2 });
    assert.equal((await client.nextAfter(2))?.kind, 'data');
    // In the middle it is believed when the client is silent for two waits.
    client.send(port, rrq('kernel'));
    const third = await client.nextAfter(3);
    assert.deepEqual(third?.kind === 'data' && [third.block, third.port], [1, first.port]);
    client.send(first.port, { kind: 'ack', block: 1 });
    let fourth = await client.nextAfter(1);
    while (fourth?.kind === 'data' && fourth.block === 3) fourth = await client.next(); // it was asked which
    assert.deepEqual(fourth?.kind === 'data' && fourth.block, 2);
    assert.equal(loopback.server.transfers(), 1);

    client.send(port, rrq('size-3'));
    const other = await client.next();
    assert.deepEqual(other?.kind === 'data' && [other.block, other.data.length], [1, 3]);
    assert.equal(loopback.server.transfers(), 1, 'the first one is over');
    client.send(other?.port ?? 0, { kind: 'ack', block: 1 });
  });
});

test('a request that comes while another is still being opened takes its place', async () => {
  await withClient(async (client, port) => {
    client.send(port, rrq('slow'));
    client.send(port, rrq('size-3'));
    const answer = await client.next();
    assert.equal(answer?.kind, 'data');
    client.send(answer?.port ?? 0, { kind: 'ack', block: 1 });
    assert.equal(await client.next(500), undefined, 'no error for the abandoned one');
  });
});

test('a stranger to a transfer gets ERROR 5 and the transfer goes on', async () => {
  const stranger = await ScriptedClient.open();
  const counted = await withClient(async (client, port) => {
    client.send(port, rrq('kernel'));
    const first = await client.next();
    assert.ok(first);
    stranger.send(first.port, { kind: 'ack', block: 1 });
    const told = await stranger.next();
    assert.deepEqual(told?.kind === 'error' && told.code, 5);
    stranger.send(first.port, { kind: 'error', code: 0, message: 'stop it' });
    client.send(first.port, { kind: 'ack', block: 1 });
    const second = await client.next();
    assert.deepEqual(second?.kind === 'data' && second.block, 2);
    client.send(first.port, { kind: 'error', code: 0, message: '' });
  });
  await stranger.close();
  assert.equal(counted.strangers, 2);
});

test('writing and other modes are refused with clear words (checklist 47)', async () => {
  const counted = await withClient(async (client, port) => {
    client.send(port, { ...rrq('x'), kind: 'wrq' } as ReturnType<typeof rrq>);
    const write = await client.next();
    assert.deepEqual(write?.kind === 'error' && [write.code, /read-only/.test(write.message)], [2, true]);
    for (const mode of ['netascii', 'mail', '']) {
      client.send(port, rrq('kernel', {}, mode));
      const answer = await client.next();
      assert.deepEqual(answer?.kind === 'error' && [answer.code, /octet/.test(answer.message)], [4, true]);
    }
  });
  assert.equal(counted.refused, 4);
});

test('an opener that fails is answered, and so is a file that gets shorter', async () => {
  const counted = await withClient(async (client, port) => {
    for (const name of ['broken', 'shrunk']) {
      client.send(port, rrq(name));
      const answer = await client.next();
      assert.deepEqual(answer?.kind === 'error' && answer.code, 0, name);
    }
  });
  assert.equal(counted.failed, 2);
});

test('hostile datagrams are counted and stop nothing', async () => {
  const counted = await withClient(async (client, port) => {
    client.send(port, rrq('kernel'));
    const first = await client.next();
    assert.ok(first);
    const garbage = [
      '',
      '\0',
      '\0\x01',
      '\0\x01x',
      '\0\x01x\0octet',
      '\0\x09',
      '\0\x04\0\x01',
      '\xff'.repeat(1400),
    ];
    for (const bytes of garbage) {
      client.send(port, Buffer.from(bytes, 'latin1'));
      if (!bytes.startsWith('\0\x04')) client.send(first.port, Buffer.from(bytes, 'latin1'));
    }
    assert.equal(await client.next(300), undefined, 'none of it is answered');
    client.send(first.port, { kind: 'ack', block: 1 });
    const second = await client.next();
    assert.deepEqual(second?.kind === 'data' && second.block, 2);
    client.send(first.port, { kind: 'error', code: 0, message: '' });
    assert.equal((await fetchFile(port, 'kernel')).length, kernel.length);
  });
  assert.equal(counted.malformed, 15);
});

test('a forged sender with port 0, which nothing can be sent to, stops nothing', async () => {
  const counted = await withClient(async () => {
    // Only a raw socket can send it: the datagram is put in where the kernel would deliver it.
    const request = Buffer.from('\0\x01kernel\0octet\0', 'latin1');
    loopback.listener.emit('message', request, { address: '127.0.0.1', port: 0 });
    await sleep(20);
    assert.equal(loopback.server.transfers(), 0);
  });
  assert.deepEqual([counted.malformed, counted.requests], [1, 0]);
});

test('50 clients at once each get the whole file (checklist 35)', async () => {
  const before = loopback.server.counters();
  const files = await Promise.all(Array.from({ length: 50 }, () => fetchFile(loopback.port, 'kernel')));
  for (const file of files) assert.ok(file.equals(kernel));
  await sleep(20);
  const now = loopback.server.counters();
  assert.equal(now.completed - before.completed, 50);
  // A client of a busy test may be slow enough for a repetition.
  const bytes = now.bytes - before.bytes;
  assert.ok(bytes >= 50 * kernel.length && bytes < 51 * kernel.length, `${bytes} bytes`);
});

test('beyond a limit nothing is answered, and the request that comes again is served when there is room', async () => {
  const warnings: object[] = [];
  const log = { ...silentLog, warn: (fields: object) => void warnings.push(fields) };
  const limited = await serveLoopback(openFile, { transfersPerClient: 2 }, { log });
  const clients = await Promise.all(Array.from({ length: 3 }, () => ScriptedClient.open()));
  const [one, two, three] = clients as [ScriptedClient, ScriptedClient, ScriptedClient];
  for (const client of [one, two]) {
    client.send(limited.port, rrq('kernel'));
    client.send((await client.next())?.port ?? 0, { kind: 'ack', block: 1 });
  }
  const second = await one.next();
  assert.equal((await two.next())?.kind, 'data');
  await sleep(50); // the engine tells that they answered
  for (let tries = 0; tries < 3; tries += 1) {
    three.send(limited.port, rrq('kernel'));
    assert.equal(await three.next(100), undefined, 'silence');
  }
  assert.equal(limited.server.counters().busy, 3);
  assert.deepEqual(
    warnings.map((fields) => 'id' in fields && fields.id),
    ['TFTP_BUSY'],
  );

  one.send(second?.port ?? 0, { kind: 'error', code: 0, message: 'Early terminate' });
  await sleep(20);
  three.send(limited.port, rrq('kernel'));
  assert.equal((await three.next())?.kind, 'data');
  for (const client of clients) await client.close();
  await limited.server.stop();
});

test('addresses that hold all there is, with transfers that never end, keep no other one out', async () => {
  const limited = await serveLoopback(openFile, { transfers: 6, transfersPerClient: 3 });
  const held = ['127.0.0.2', '127.0.0.3'].flatMap((address) => [1, 2, 3].map(() => address));
  const clients = await Promise.all(held.map((address) => ScriptedClient.open(address)));
  for (const client of clients) {
    client.send(limited.port, rrq('kernel', { timeout: '10' }));
    const oack = await client.next();
    client.send(oack?.port ?? 0, { kind: 'ack', block: 0 });
    assert.equal((await client.next())?.kind, 'data');
  }
  await sleep(50); // the engine tells that they answered
  assert.equal(limited.server.transfers(), 6);
  assert.deepEqual(await fetchFile(limited.port, 'kernel'), kernel);
  assert.equal(limited.server.counters().busy, 0);
  for (const client of clients) await client.close();
  await limited.server.stop();
});

test('a flood of requests that nobody acknowledges keeps no client out, nor ends what runs', async () => {
  const limited = await serveLoopback(openFile, { transfers: 4 });
  const clients = await Promise.all(Array.from({ length: 10 }, () => ScriptedClient.open()));
  const [running, ...forged] = clients as [ScriptedClient, ...ScriptedClient[]];
  running.send(limited.port, rrq('kernel'));
  const first = await running.next();
  running.send(first?.port ?? 0, { kind: 'ack', block: 1 });
  assert.equal((await running.next())?.kind, 'data');
  for (const client of forged) {
    client.send(limited.port, rrq('kernel', { timeout: '10' }));
    assert.equal((await client.next())?.kind, 'oack');
  }
  assert.deepEqual(await fetchFile(limited.port, 'kernel'), kernel);
  running.send(first?.port ?? 0, { kind: 'ack', block: 2 });
  let third = await running.next();
  while (third?.kind === 'data' && third.block === 2) third = await running.next(); // repeated meanwhile
  assert.deepEqual(third?.kind === 'data' && third.block, 3);
  assert.equal(limited.server.counters().busy, 0);
  assert.ok(limited.server.transfers() <= 4);
  for (const client of clients) await client.close();
  await limited.server.stop();
});

test('a transfer ends when its time is over, however eager its client', async () => {
  const limited = await serveLoopback(openFile, { transferMs: 200 });
  const client = await ScriptedClient.open();
  client.send(limited.port, rrq('kernel'));
  let packet = await client.next();
  for (let guard = 0; guard < 1000 && packet?.kind === 'data'; guard += 1) {
    await sleep(20);
    client.send(packet.port, { kind: 'ack', block: packet.block });
    packet = await client.next();
  }
  assert.ok(packet?.kind === 'error' && /too long/.test(packet.message));
  assert.equal(limited.server.counters().timeouts, 1);
  assert.equal(limited.server.transfers(), 0);
  await client.close();
  await limited.server.stop();
});

test('blocks follow the MTU that the interface has now (checklist 31)', async () => {
  let mtu: number | undefined;
  const sized = await serveLoopback(openFile, {}, { mtuOf: (name) => (name === 'lo' ? mtu : 0) });
  for (const [now, expected] of [
    [undefined, '1468'],
    [1400, '1368'],
    [65536, '65464'],
  ] as const) {
    mtu = now;
    const client = await ScriptedClient.open();
    client.send(sized.port, rrq('kernel', { blksize: '65464' }));
    const oack = await client.next();
    assert.equal(oack?.kind === 'oack' && oack.options.get('blksize'), expected);
    await client.close();
  }
  await sized.server.stop();
});

test('stop ends what runs; every opened file has been closed', async () => {
  const stopping = await serveLoopback(openFile);
  const client = await ScriptedClient.open();
  client.send(stopping.port, rrq('kernel'));
  await client.next();
  assert.equal(stopping.server.transfers(), 1);
  await stopping.server.stop();
  assert.equal(stopping.server.transfers(), 0);
  await client.close();
  await sleep(50);
  assert.equal(loopback.server.transfers(), 0, 'no test left a transfer behind');
  assert.equal(closed, opened);
});
