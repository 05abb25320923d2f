import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import type net from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import { inMemory, LOOPBACK, readAll, Serving } from './serving.ts';

const BYTES = randomBytes(300_001);
const files = { '/s/boot.img': BYTES, '/s/empty': new Uint8Array(), '/s/a b': Buffer.from('blank') };

test('GET gives the file with its length, in one piece and without a redirect (checklist 57)', async () => {
  await using serving = await Serving.start(files);
  const { status, headers, body } = await serving.fetch('/s/boot.img');
  assert.equal(status, 200);
  assert.equal(headers['content-length'], String(BYTES.length));
  assert.equal(headers['transfer-encoding'], undefined);
  assert.equal(headers['content-encoding'], undefined);
  assert.equal(headers.location, undefined);
  assert.ok(body.equals(BYTES));
  assert.deepEqual(serving.asked, [{ address: LOOPBACK, interface: 'eth0', path: '/s/boot.img' }]);
});

test('a client that would take a compressed answer gets a plain one all the same', async () => {
  await using serving = await Serving.start(files);
  const { headers, body } = await serving.fetch('/s/boot.img', {
    headers: { 'accept-encoding': 'gzip, br' },
  });
  assert.equal(headers['content-encoding'], undefined);
  assert.ok(body.equals(BYTES));
});

test('HEAD tells the length and nothing else, as UEFI asks before it gets', async () => {
  await using serving = await Serving.start(files);
  const { status, headers, body } = await serving.fetch('/s/boot.img', { method: 'HEAD' });
  assert.deepEqual([status, headers['content-length'], body.length], [200, String(BYTES.length), 0]);
  assert.equal((await serving.fetch('/s/none', { method: 'HEAD' })).status, 404);
  assert.equal(serving.open, 0);
});

test('a download that broke off goes on where it was (checklist 58)', async () => {
  await using serving = await Serving.start(files);
  const first = await serving.fetch('/s/boot.img', { headers: { range: 'bytes=0-99999' } });
  assert.equal(first.status, 206);
  assert.equal(first.headers['content-range'], `bytes 0-99999/${BYTES.length}`);
  const etag = first.headers.etag as string;
  const rest = await serving.fetch('/s/boot.img', { headers: { range: 'bytes=100000-', 'if-range': etag } });
  assert.equal(rest.status, 206);
  assert.equal(rest.headers['content-length'], String(BYTES.length - 100_000));
  assert.ok(Buffer.concat([first.body, rest.body]).equals(BYTES));
  // The image is another one by now: the whole of it.
  const other = await serving.fetch('/s/boot.img', { headers: { range: 'bytes=5-', 'if-range': '"old"' } });
  assert.deepEqual([other.status, other.body.length], [200, BYTES.length]);
});

test('a range the file does not have is told with the size it has', async () => {
  await using serving = await Serving.start(files);
  const { status, headers } = await serving.fetch('/s/boot.img', { headers: { range: 'bytes=999999-' } });
  assert.deepEqual([status, headers['content-range']], [416, `bytes */${BYTES.length}`]);
  assert.equal(serving.open, 0);
});

test('an empty file, and a name that has to be decoded', async () => {
  await using serving = await Serving.start(files);
  const empty = await serving.fetch('/s/empty');
  assert.deepEqual([empty.status, empty.headers['content-length'], empty.body.length], [200, '0', 0]);
  assert.equal((await serving.fetch('/s/a%20b?x=1')).body.toString(), 'blank');
});

test('a miss says why, and is no alert', async () => {
  await using serving = await Serving.start(files);
  const { status, headers, body } = await serving.fetch('/s/none');
  assert.deepEqual([status, body.toString()], [404, 'no file /s/none\n']);
  assert.equal(headers['content-length'], String(body.length));
  assert.deepEqual(
    serving.lines.map(({ level, id }) => [level, id]),
    [['info', 'HTTP_MISS']],
  );
});

test('nothing but GET and HEAD is served', async () => {
  await using serving = await Serving.start(files);
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
    const { status, headers } = await serving.fetch('/s/boot.img', { method });
    assert.deepEqual([method, status, headers.allow], [method, 405, 'GET, HEAD']);
  }
  assert.equal(serving.server.counters().refused, 5);
});

test('one connection serves many requests, in their order', async () => {
  await using serving = await Serving.start(files);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const bodies = await Promise.all(
    ['/s/boot.img', '/s/none', '/s/a%20b', '/s/boot.img'].map((path) => serving.fetch(path, { agent })),
  );
  assert.deepEqual(
    bodies.map(({ status }) => status),
    [200, 404, 200, 200],
  );
  assert.ok(bodies[3]?.body.equals(BYTES));
  agent.destroy();

  const ahead = serving.connect(
    'GET /s/a%20b HTTP/1.1\r\n\r\nHEAD /s/boot.img HTTP/1.1\r\n\r\nGET /s/none HTTP/1.0\r\n\r\n',
  );
  const answers = await readAll(ahead);
  assert.deepEqual(answers.match(/HTTP\/1.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 404']);
});

test('the log line of a Pi has its board (checklist 58)', async () => {
  await using serving = await Serving.start(files);
  const agent = 'rpiboot/1.0 (b03115; version:12345678)';
  await serving.fetch('/s/boot.img', { headers: { 'user-agent': agent } });
  const { id, client, interface: name, path, boardRevision } = serving.lines[0] ?? assert.fail();
  assert.deepEqual(
    [id, client, name, path, boardRevision],
    ['HTTP_SENT', LOOPBACK, 'eth0', '/s/boot.img', 'b03115'],
  );
});

const garbage: Record<string, string> = {
  'no HTTP': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  'bytes of every kind': String.fromCharCode(...Array.from({ length: 256 }, (_, index) => index)),
  'a line without an end': `GET /${'a'.repeat(20_000)}`,
  'headers without an end': `GET / HTTP/1.1\r\n${'X-A: b\r\n'.repeat(5000)}`,
  'two lengths': 'GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
  'a length and chunks': 'GET / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'another version': 'GET / HTTP/9.9\r\n\r\n',
  'hundreds of requests at once': 'GET /s/boot.img HTTP/1.1\r\n\r\n'.repeat(2000),
};
for (const [what, bytes] of Object.entries(garbage)) {
  test(`${what}: counted, and the connection is over`, async () => {
    await using serving = await Serving.start(files);
    const answer = await readAll(serving.connect(bytes).resume());
    assert.ok(!answer.startsWith('HTTP/1.1 200') || what.startsWith('hundreds'), answer.slice(0, 100));
    assert.ok(serving.server.counters().malformed >= 1);
    assert.equal((await serving.fetch('/s/a%20b')).body.toString(), 'blank');
    await sleep(20);
    assert.equal(serving.open, 0);
  });
}

test('who sends a request by drops is hung up on, others are served', async () => {
  await using serving = await Serving.start(files, { headersMs: 300 });
  const sockets = Array.from({ length: 30 }, () => serving.connect('GET /s/boot.img HTTP/1.1\r\nX-'));
  const silent = serving.connect();
  const dripping = setInterval(() => {
    for (const socket of sockets) socket.write('a');
  }, 50);
  const ended = [...sockets, silent].map((socket) => readAll(socket.resume()));
  assert.equal((await serving.fetch('/s/a%20b')).status, 200);
  const answers = await Promise.all(ended);
  clearInterval(dripping);
  assert.ok(answers.slice(0, 30).every((answer) => answer === '' || answer.startsWith('HTTP/1.1 408')));
  assert.ok(serving.server.counters().timeouts >= 30);
});

test('a hundred readers at a trickle do not hurt a quick one, and hold little memory (checklist 58)', async () => {
  const size = 64 << 20;
  const block = Buffer.alloc(64 * 1024, 'x');
  const reads = { count: 0 };
  const big = {
    size,
    version: 'big',
    read: async (offset: number, length: number) => {
      reads.count += 1;
      return block.subarray(0, Math.min(length, size - offset));
    },
    close: async () => {},
  };
  await using serving = await Serving.start({ '/big': big }, { connectionsPerClient: 200 });
  const fetchQuick = async () => {
    const started = performance.now();
    const { body } = await serving.fetch('/big');
    assert.equal(body.length, size);
    return performance.now() - started;
  };
  await fetchQuick();
  const alone = await fetchQuick();
  reads.count = 0;
  const before = process.memoryUsage().rss;
  const slow = await Promise.all(
    Array.from({ length: 100 }, async () => {
      const socket = serving.connect('GET /big HTTP/1.1\r\n\r\n');
      await new Promise((resolve) => socket.once('readable', resolve));
      return socket;
    }),
  );
  const trickle = setInterval(() => {
    for (const socket of slow) socket.read(1000);
  }, 100);
  await sleep(500);
  const grown = (process.memoryUsage().rss - before) >> 20;
  const beside = await fetchQuick();
  clearInterval(trickle);
  assert.equal(serving.server.counters().running, 100);
  for (const socket of slow) socket.destroy();
  assert.ok(beside < alone * 5 + 1000, `${beside} ms beside them, ${alone} ms alone`);
  // The rest of what was read waits in the kernel, for the readers.
  assert.ok(grown < 64, `${grown} MiB more`);
  await sleep(200);
  assert.equal(serving.open, 0);
  assert.equal(serving.server.counters().running, 0);
  assert.equal(serving.server.counters().aborted, 100);
});

test('who stops reading is hung up on', async () => {
  const size = 64 << 20;
  const endless = {
    ...inMemory(Buffer.alloc(0)),
    size,
    read: async (_: number, length: number) => Buffer.alloc(length),
  };
  await using serving = await Serving.start({ '/big': endless }, { idleMs: 300 });
  const stuck = serving.connect('GET /big HTTP/1.1\r\n\r\n');
  stuck.pause();
  for (let tries = 0; serving.server.counters().timeouts === 0 && tries < 100; tries++) await sleep(50);
  assert.equal(serving.server.counters().timeouts, 1);
  for (let tries = 0; serving.open > 0 && tries < 100; tries++) await sleep(20);
  assert.equal(serving.open, 0);
  stuck.destroy();
});

test('one client cannot take all connections', async () => {
  await using serving = await Serving.start(files, { connectionsPerClient: 4 });
  const held = Array.from({ length: 4 }, () => serving.connect('GET'));
  await sleep(50);
  await assert.rejects(serving.fetch('/s/a%20b'));
  assert.equal(serving.server.counters().busy, 1);
  for (const socket of held) socket.destroy();
  await sleep(50);
  assert.equal((await serving.fetch('/s/a%20b')).status, 200);
});

test('a file that fails, or is shorter than it said, never looks whole', async () => {
  const short = { ...inMemory(Buffer.from('short')), size: 100_000 };
  const broken = {
    ...inMemory(Buffer.alloc(200_000)),
    read: async (offset: number) => {
      if (offset > 0) throw new Error('disk');
      return Buffer.alloc(65_536);
    },
  };
  await using serving = await Serving.start({ '/short': short, '/broken': broken });
  await assert.rejects(serving.fetch('/short'));
  await assert.rejects(serving.fetch('/broken'));
  assert.equal(serving.server.counters().failed, 2);
  assert.equal(serving.open, 0);
});

test('it listens where it is told from now on, and lets transfers run to their end', async () => {
  await using serving = await Serving.start(files);
  const other = '127.0.0.2' as Ipv4;
  const running = serving.connect('GET /s/boot.img HTTP/1.1\r\nConnection: close\r\n\r\n');
  await new Promise((resolve) => running.once('readable', resolve));
  await serving.server.listenAt([{ interface: 'eth0', address: other }]);
  assert.equal((await serving.fetch('/s/a%20b', { host: other })).status, 200);
  await assert.rejects(serving.fetch('/s/a%20b'), { code: 'ECONNREFUSED' });
  assert.ok((await readAll(running.resume() as net.Socket)).length > 0);
  await serving.server.listenAt([
    { interface: 'eth0', address: other },
    { interface: 'eth1', address: LOOPBACK },
  ]);
  assert.equal((await serving.fetch('/s/a%20b')).status, 200);
  assert.equal(serving.asked.at(-1)?.interface, 'eth1');
});

test('an address that is taken is a warning that stands until it is free; the others are served', async () => {
  const first = await Serving.start(files);
  await using late = await Serving.start(files, {}, first.port);
  assert.match(
    late.warnings.all()[0]?.text ?? '',
    /eth0: .*EADDRINUSE.*Stop what listens at 127\.0\.0\.1:\d+, .*http: \{ port: off \}/,
  );
  const addresses = [
    { interface: 'eth0', address: LOOPBACK },
    { interface: 'eth1', address: '127.0.0.2' as Ipv4 },
  ];
  await Promise.all([late.server.listenAt(addresses), late.server.listenAt(addresses)]);
  assert.deepEqual(
    late.warnings.all().map(({ id }) => id),
    ['HTTP_NOT_SERVED eth0'],
  );
  assert.equal((await late.fetch('/s/a%20b', { host: '127.0.0.2' })).status, 200);
  await first.server.stop();
  await late.server.listenAt(addresses);
  assert.deepEqual(late.warnings.all(), []);
  assert.equal((await late.fetch('/s/a%20b')).status, 200);
});

test('the warning about an interface goes with it', async () => {
  await using first = await Serving.start(files);
  await using late = await Serving.start(files, {}, first.port);
  assert.equal(late.warnings.all().length, 1);
  await late.server.listenAt([]);
  assert.deepEqual(late.warnings.all(), []);
});

test('a few clients that hold all connections keep nobody out', async () => {
  await using serving = await Serving.start(files, { connections: 8, connectionsPerClient: 4 });
  const held = ['127.0.0.2', '127.0.0.3'].flatMap((from) =>
    Array.from({ length: 4 }, () => serving.connect('GET', from as Ipv4)),
  );
  await sleep(50);
  for (let count = 0; count < 3; count++) assert.equal((await serving.fetch('/s/a%20b')).status, 200);
  assert.ok(serving.server.counters().busy >= 1);
  for (const socket of held) socket.destroy();
});

test('misses that belong to a working boot are for those who debug, others are told', async () => {
  await using serving = await Serving.start(files);
  for (const name of ['s/recovery.elf', 's/start4.elf']) await serving.fetch(`/${name}`);
  assert.deepEqual(
    serving.lines.map(({ level, id, path }) => [level, id, path]),
    [
      ['debug', 'HTTP_MISS', '/s/recovery.elf'],
      ['info', 'HTTP_MISS', '/s/start4.elf'],
    ],
  );
});

test('a client that only asks does not fill the log', async () => {
  await using serving = await Serving.start(files);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
  for (const path of ['/s/none', '/s/empty'])
    await Promise.all(Array.from({ length: 400 }, () => serving.fetch(path, { agent })));
  agent.destroy();
  const told = serving.lines.filter(({ level }) => level === 'info').length;
  assert.ok(told > 20 && told < 400, `${told} lines`);
  assert.equal(serving.server.counters().missed, 400);
});
