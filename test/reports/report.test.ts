import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Report } from '../../src/model/report.ts';
import { ELSEWHERE, HOME, hmac, LOOPBACK, OTHER, SERIAL, World } from './world.ts';

const heard = (world: World): Report | undefined => world.fleet.conditions.of(SERIAL).report;

test('a report is taken, and answered with the run alone', async () => {
  await using world = await World.make();
  const node = await world.booted(SERIAL, HOME);
  const answer = await node.report({
    state: 'degraded',
    failed: 'nginx.service dev-mmc\\x2d1.swap',
    temperature: '51.5',
    throttled: '50005',
    disk: '2147483648 1000000000',
  });
  assert.equal(answer.status, 200);
  assert.equal(answer.body, `run ${node.run}\n`);
  const [, requestMac = ''] = /Netboot-Mac: (\w+)/.exec(node.recorded) ?? [];
  assert.equal(answer.mac, hmac(node.key, `answer\n${requestMac}\n${answer.body}`));
  assert.deepEqual(heard(world), {
    generation: 'web-000000000001',
    root: 'readonly',
    uptime: 42.17,
    clock: 1763776800,
    state: 'degraded',
    failed: ['nginx.service', 'dev-mmc\\x2d1.swap'],
    target: 'web-cluster-node.target',
    memory: { total: 3884000 * 1024, available: 3300000 * 1024 },
    temperature: 51.5,
    throttled: 0x50005,
    disk: { total: 2147483648, available: 1000000000 },
  });
});

test('what was heard once is not believed twice', async () => {
  await using world = await World.make();
  const node = await world.booted(SERIAL, HOME);
  await node.report({ uptime: '1.00' });
  const { recorded } = node;
  await node.report({ uptime: '2.00' });
  const replay = await node.raw(recorded);
  assert.equal(replay.status, 409);
  assert.equal(replay.body, `run ${node.run}\nseq 2\n`);
  assert.equal(heard(world)?.uptime, 2);
  const [, requestMac = ''] = /Netboot-Mac: (\w+)/.exec(recorded) ?? [];
  assert.equal(replay.mac, hmac(node.key, `answer\n${requestMac}\n${replay.body}`));
});

test('another run of the service tells a node where to go on, and takes nothing of the one before', async () => {
  await using world = await World.make();
  const node = await world.booted(SERIAL, HOME);
  for (let count = 0; count < 5; count++) await node.report();
  const { recorded } = node;
  await world.restart();
  assert.equal((await node.raw(recorded)).status, 409, 'a report of the earlier run');
  assert.equal(heard(world), undefined);
  const told = await node.report();
  assert.equal(told.status, 409);
  const [, run = '', seq] = /^run (\S+)\nseq (\d+)\n$/.exec(told.body) ?? [];
  assert.notEqual(run, node.run);
  assert.equal(seq, '0');
  Object.assign(node, { run, seq: 0 });
  assert.equal((await node.report()).status, 200);
  assert.equal((await node.raw(recorded)).status, 409);
});

test('forged and foreign reports are refused, counted, and told of once a minute', async () => {
  await using world = await World.make();
  const node = await world.booted(SERIAL, HOME);
  const other = await world.booted(OTHER, ELSEWHERE);
  assert.equal((await node.report({}, other.key)).status, 403, "another node's key");
  assert.equal((await node.report({}, '0'.repeat(64))).status, 403, 'a made-up key');
  assert.equal((await node.report({}, '')).status, 403, 'no key');
  assert.equal((await other.report({ serial: SERIAL })).status, 403, 'in the name of another node');
  assert.equal((await other.report({ serial: '01234567' })).status, 403, 'of nobody');
  const tampered = node.request('/v1/report', `serial ${SERIAL}\n`, node.key).replace(SERIAL, OTHER);
  assert.equal((await node.raw(tampered)).status, 400);
  assert.equal(heard(world), undefined);
  assert.equal(world.server.counters().refused, 5);
  assert.equal(world.troubles().length, 1);
  assert.match(world.troubles()[0] ?? '', /not signed with the key of its boot \(from 127\.0\.0\.21\)/);
});

test('the key of the boot before is over with the next boot', async () => {
  await using world = await World.make();
  const before = await world.booted(SERIAL, HOME);
  world.fleet.announce({ serial: SERIAL, order: 0, xid: 7 });
  await sleep(2);
  const after = await world.booted(SERIAL, HOME);
  assert.notEqual(before.key, after.key);
  assert.equal((await before.report()).status, 403);
  assert.equal((await after.report()).status, 200);
});

test('a node without a clock is heard as any other', async () => {
  await using world = await World.make();
  const node = await world.booted(SERIAL, HOME);
  assert.equal((await node.report({ clock: '12' })).status, 200);
  assert.equal((await node.report({ clock: '-3600' })).status, 200);
  assert.equal((await node.report({ clock: '4102444800' })).status, 200);
  assert.equal(heard(world)?.clock, 4102444800);
});

test('a node that waits is answered when its time is over', async () => {
  await using world = await World.make();
  const node = await world.booted(SERIAL, HOME);
  const startedAt = performance.now();
  const answer = node.report({ wait: '1' });
  await sleep(300);
  assert.equal(heard(world)?.state, 'running', 'heard before it is answered');
  assert.equal((await answer).status, 200);
  assert.ok(performance.now() - startedAt > 950);
});

test('a node that comes again is no longer waited for where it was', async () => {
  await using world = await World.make();
  const node = await world.booted(SERIAL, HOME);
  const first = node.report({ wait: '60' });
  await sleep(100);
  assert.equal((await node.report()).status, 200);
  assert.equal((await first).body, `run ${node.run}\n`);
});

test('who is gone is not held', async () => {
  await using world = await World.make();
  const node = await world.booted(SERIAL, HOME);
  const socket = node.connect();
  void node.report({ wait: '60' }, node.key, socket);
  await sleep(200);
  assert.equal(world.fleet.reporting.waiting, 1);
  assert.equal(world.server.counters().open, 1);
  socket.resetAndDestroy();
  await sleep(100);
  assert.equal(world.fleet.reporting.waiting, 0);
  assert.equal(world.server.counters().open, 0);
  assert.equal(world.server.counters().aborted, 1);
});

const malformed: Array<{ given: string; changes: Record<string, string> }> = [
  { given: 'no serial number', changes: { serial: 'none' } },
  { given: 'a state that no system has', changes: { state: 'splendid' } },
  { given: 'a count that is none', changes: { seq: '-1' } },
  { given: 'a path for a generation', changes: { generation: '../../etc' } },
  { given: 'a wait that is none', changes: { wait: 'long' } },
  { given: 'half the memory', changes: { memory: '1' } },
  { given: 'a unit with control characters', changes: { failed: 'a\u001b[2J.service' } },
  { given: 'hundreds of failed units', changes: { failed: 'a.service '.repeat(300) } },
  { given: 'a name twice', changes: { uptime: '1\nuptime 2' } },
  { given: 'time in words', changes: { clock: 'noon' } },
];
for (const { given, changes } of malformed) {
  test(`${given}: 400, and counted`, async () => {
    await using world = await World.make();
    const node = await world.booted(SERIAL, HOME);
    assert.equal((await node.report(changes)).status, 400);
    assert.equal(world.server.counters().malformed, 1);
    assert.equal(heard(world), undefined);
    assert.equal((await node.report()).status, 200);
  });
}

test('a name that nobody knows is passed over: the node may be newer', async () => {
  await using world = await World.make();
  const node = await world.booted(SERIAL, HOME);
  assert.equal((await node.report({ fan: '1200 rpm' })).status, 200);
});

test('hostile bytes are counted, and nobody else waits for them', async () => {
  await using world = await World.make({ limits: { requestMs: 500, answerMs: 500 } });
  const node = await world.booted(SERIAL, HOME);
  const statusOf = async (bytes: string) => (await node.raw(bytes)).status;
  const big = 'x'.repeat(17_000);
  assert.equal(await statusOf(`POST /v1/report HTTP/1.1\r\nContent-Length: 17000\r\n\r\n`), 413);
  const chunked = `POST /v1/report HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n${(17_000).toString(16)}\r\n${big}`;
  assert.equal(await statusOf(chunked), 411);
  assert.equal(await statusOf(`POST /v1/report HTTP/1.1\r\nX: ${'x'.repeat(9000)}\r\n\r\n`), 431);
  assert.equal(await statusOf('GET /v1/report HTTP/1.1\r\n\r\n'), 405);
  assert.equal(await statusOf('POST /etc/passwd HTTP/1.1\r\nContent-Length: 0\r\n\r\n'), 404);
  assert.equal(await statusOf('POST /v1/report HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi'), 400);
  assert.equal(await statusOf('SSH-2.0-OpenSSH_9.2\r\n'), 400);
  const slow = net.connect({ host: LOOPBACK, port: world.port }).on('error', () => {});
  slow.write('POST /v1/report HTTP/1.1\r\nContent-Length: 100\r\n\r\n');
  const drops = setInterval(() => slow.write('x'), 100);
  const closed = new Promise((resolve) => slow.once('close', resolve));
  assert.equal((await node.report()).status, 200, 'others are answered meanwhile');
  slow.resume();
  await closed;
  clearInterval(drops);
  await sleep(700); // what is refused unread is read to no end
  const counters = world.server.counters();
  assert.equal(counters.timeouts, 1);
  assert.equal(counters.malformed, 7);
  assert.equal(counters.failed, 0);
  assert.equal(counters.open, 0);
});

test('a second request on a connection ends it', async () => {
  await using world = await World.make();
  const node = await world.booted(SERIAL, HOME);
  for (const head of ['', 'Connection: close\r\n']) {
    const socket = node.connect();
    node.seq += 1;
    const body = `serial ${SERIAL}\nrun ${node.run}\nseq ${node.seq}\nwait 30\ngeneration g\nroot readonly\nuptime 1\nclock 1\nstate running\n`;
    const request = node.request('/v1/report', body, node.key).replace('Connection: close\r\n', head);
    const first = node.raw(request, socket);
    await sleep(100);
    assert.equal(world.server.counters().open, 1);
    socket.write('POST /v1/report HTTP/1.1\r\nContent-Length: 0\r\n\r\n');
    assert.equal((await first).status, 0);
    await sleep(50);
    assert.equal(world.server.counters().open, 0);
    assert.equal(world.fleet.reporting.waiting, 0);
  }
  assert.equal(world.server.counters().malformed, 2);
});

test('one address cannot take all connections', async () => {
  await using world = await World.make({ limits: { connections: 20, connectionsPerClient: 15 } });
  const node = await world.booted(SERIAL, HOME);
  const greedy = await Promise.all(
    Array.from({ length: 30 }, async () => {
      const socket = net.connect({ host: LOOPBACK, port: world.port, localAddress: ELSEWHERE });
      socket.on('error', () => {});
      await new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
      return socket;
    }),
  );
  await sleep(100);
  assert.equal(world.server.counters().busy, 15);
  assert.equal((await node.report()).status, 200);
  for (const socket of greedy) socket.destroy();
});
