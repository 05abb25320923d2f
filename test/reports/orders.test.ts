import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Busy, Orders } from '../../src/fleet/orders.ts';
import { HOME, SERIAL, World } from './world.ts';

const REBOOT = { kind: 'reboot' } as const;
const ISOLATE = { kind: 'isolate', target: 'multi-user.target' } as const;

test('a node that waits gets its order at once', async () => {
  await using world = await World.make();
  const client = await world.booted(SERIAL, HOME);
  const node = world.fleet.find(SERIAL);
  const waiting = client.report({ wait: '60' });
  await sleep(100);
  const startedAt = performance.now();
  const sent = world.fleet.reporting.send(node, REBOOT);
  const answer = await waiting;
  assert.ok(performance.now() - startedAt < 500);
  assert.match(answer.body, new RegExp(`^run ${client.run}\norder [0-9a-f]{8} reboot\n$`));
  await sent; // it was delivered, and the connection ended well
  assert.ok(performance.now() - startedAt < 1000);
  assert.equal(world.server.counters().orders, 1);
});

test('a node gets an order with its next report, and again until it says that it has taken it', async () => {
  await using world = await World.make();
  const client = await world.booted(SERIAL, HOME);
  const node = world.fleet.find(SERIAL);
  await client.report();
  const sent = world.fleet.reporting.send(node, { kind: 'isolate', target: 'web-cluster-node.target' });
  const first = await client.report({ wait: '60' });
  const [, id = ''] = /^order ([0-9a-f]{8}) isolate web-cluster-node\.target$/m.exec(first.body) ?? [];
  assert.ok(id);
  assert.equal((await client.report({ wait: '60' })).body, first.body, 'it did not say so');
  assert.equal((await client.report({ done: '00000000' })).body, first.body, 'that was another one');
  assert.equal((await client.report({ done: id })).body, `run ${client.run}\n`);
  await sent;
});

test('an order whose connection broke is given again', async () => {
  await using world = await World.make();
  const client = await world.booted(SERIAL, HOME);
  const node = world.fleet.find(SERIAL);
  const socket = client.connect();
  let isTaken = false;
  void client.report({ wait: '60' }, client.key, socket);
  await sleep(100);
  socket.pause();
  const sent = world.fleet.reporting.send(node, REBOOT).then(() => {
    isTaken = true;
  });
  socket.resetAndDestroy();
  await sleep(100);
  assert.equal(isTaken, false);
  assert.match((await client.report()).body, /^order \w+ reboot$/m);
  await sent;
});

test('a node on its way down gets no order, and says that it has taken its own', async () => {
  await using world = await World.make();
  const client = await world.booted(SERIAL, HOME);
  const node = world.fleet.find(SERIAL);
  await client.report();
  const sent = world.fleet.reporting.send(node, ISOLATE);
  const { body } = await client.report();
  const [, id = ''] = /^order (\w+) /m.exec(body) ?? [];
  assert.equal((await client.report({ state: 'stopping' })).body, `run ${client.run}\n`);
  assert.equal((await client.report({ state: 'stopping', done: id })).body, `run ${client.run}\n`);
  await sent;
});

test('a node that boots anew has rebooted', async () => {
  await using world = await World.make();
  const client = await world.booted(SERIAL, HOME);
  const node = world.fleet.find(SERIAL);
  await client.report();
  const sent = world.fleet.reporting.send(node, REBOOT);
  world.fleet.announce({ serial: SERIAL, order: 0, xid: 7 });
  await sleep(2);
  const anew = await world.booted(SERIAL, HOME);
  await sent;
  assert.equal((await anew.report()).body, `run ${anew.run}\n`, 'and is not told to do so again');
});

test('what a node cannot be told is refused with the remedy', async () => {
  await using world = await World.make();
  const { reporting } = world.fleet;
  const node = world.fleet.find(SERIAL);
  await assert.rejects(reporting.send(node, REBOOT), {
    name: 'Refusal',
    message: /^Node first has never reported, so it takes no orders\. .*netboot power first cycle/,
  });
  const client = await world.booted(SERIAL, HOME);
  await client.report();
  await assert.rejects(reporting.send(node, REBOOT, { withinMs: 50 }), {
    message: /^Node first did not come to be told to reboot\./,
  });
  const aborting = new AbortController();
  const sent = reporting.send(node, REBOOT, { signal: aborting.signal });
  await assert.rejects(reporting.send(node, ISOLATE), (error: unknown) => {
    assert.ok(error instanceof Busy);
    assert.match(error.message, /has an order to take already: reboot/);
    return true;
  });
  aborting.abort(new Error('never mind'));
  await assert.rejects(sent, { message: 'never mind' });
  assert.equal((await client.report()).body, `run ${client.run}\n`, 'it was taken back');

  const unsaid = reporting.send(node, ISOLATE, { withinMs: 300 });
  const refused = assert.rejects(unsaid, { message: /was told to isolate .* and did not say that it does/ });
  await client.report();
  await refused;

  const late = reporting.send(node, ISOLATE);
  const removed = assert.rejects(late, { message: /^Node first was removed/ });
  await world.fleet.removeNode(SERIAL);
  await removed;
});

test('who has fallen silent is told nothing', async () => {
  const node = { serial: SERIAL, name: 'first', image: 'web' };
  let silentMs = 150_000;
  const orders = new Orders({ silentFor: () => silentMs, elapsed: () => 0 });
  await assert.rejects(orders.send(node, REBOOT, { withinMs: 1 }), { message: /did not come/ });
  silentMs += 1000;
  await assert.rejects(orders.send(node, REBOOT), {
    message: /^Node first has not reported for 151 s, so it takes no orders\. .*netboot power first cycle/,
  });
});

test('who has reported is told, however far the time of day was set since', async (context) => {
  await using world = await World.make();
  const client = await world.booted(SERIAL, HOME);
  await client.report();
  const now = Date.now();
  context.mock.method(Date, 'now', () => now + 3_600_000);
  const sent = world.fleet.reporting.send(world.fleet.find(SERIAL), REBOOT);
  assert.match((await client.report()).body, /^order \w+ reboot$/m);
  await sent;
});

test('after a restart of the service, a node has the time to come', async () => {
  await using world = await World.make();
  const client = await world.booted(SERIAL, HOME);
  await client.report();
  await world.restart();
  const sent = world.fleet.reporting.send(world.fleet.find(SERIAL), REBOOT);
  const [, run = ''] = /^run (\S+)/.exec((await client.report()).body) ?? [];
  Object.assign(client, { run, seq: 0 });
  assert.match((await client.report()).body, /^order \w+ reboot$/m);
  await sent;
});

test('a node switches to what its own generation declares', async () => {
  await using world = await World.make();
  const client = await world.booted(SERIAL, HOME);
  const { reporting } = world.fleet;
  const node = world.fleet.find(SERIAL);
  for (const _ of ['as it was given it', 'as it reports it']) {
    assert.equal(reporting.targetOf(node, 'web'), 'web-cluster-node.target');
    assert.equal(reporting.targetOf(node, 'web-cluster-node.target'), 'web-cluster-node.target');
    assert.equal(reporting.targetOf(node, 'multi-user.target'), 'multi-user.target');
    for (const text of ['rescue.target', 'constructor', '', 'web; reboot'])
      assert.throws(() => reporting.targetOf(node, text), {
        message: /It has: web, web-cluster-node\.target, multi-user\.target/,
      });
    await client.report();
  }
});
