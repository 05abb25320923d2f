import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { waitsFor } from '../../../src/fleet/rollout/plan.ts';
import { BASE, GOOD, MINUTE, many, statesOf, TARGET, World } from './world.ts';

/** Until the first is done, of a rack that takes two minutes for each boot: the second is told already. */
function withOneDone(count = 3): World {
  const world = new World(many(count, { ...GOOD, bootSeconds: 120 }));
  while (world.step(1)?.state !== 'told') world.pass();
  assert.equal(world.step(0)?.state, 'done');
  return world;
}

const become = (world: World, index: number, state: 'silent' | 'loading' | 'up' | 'off') =>
  Object.assign(world.machine(index), {
    state,
    since: world.now,
    ...(state === 'up' ? {} : { runs: undefined, resetAt: undefined }),
  });

describe('a rollout whose nodes were up', () => {
  for (const power of [false, true]) {
    it(`stops with one that hangs later, ${power ? 'and cycles its power' : 'which nobody can put back'}`, () => {
      const world = new World(many(8, { ...GOOD, target: 'dies', power }));
      world.passUntilOver();
      assert.equal(world.rollout.state, 'stopped');
      assert.match(statesOf(world), /^failed (done )+(waiting ?)+$/);
      assert.match(world.rollout.reason ?? '', /^it was up, and fell silent/);
      assert.equal(world.mostDown, 1);
      world.passMinutes(15);
      const { state, runs } = world.machine(0);
      assert.deepEqual([state, runs], power ? ['up', BASE] : ['silent', undefined]);
      assert.deepEqual(world.channel, BASE);
    });
  }

  it('stops with one that boots again and again, once it is up and takes an order', () => {
    const world = new World(many(8, { ...GOOD, target: 'loops', power: true }));
    world.passUntilOver();
    assert.equal(world.rollout.state, 'stopped');
    assert.match(world.rollout.reason ?? '', /^it was up, and booted 3 times in an hour/);
    assert.equal(world.mostDown, 1);
    assert.ok(statesOf(world).endsWith('waiting waiting'), statesOf(world));
    world.passMinutes(5);
    assert.deepEqual([world.machine(0).state, world.machine(0).runs], ['up', BASE]);
    assert.ok(world.acted.every(({ kind }) => kind !== 'cycle'));
  });

  it('stops with one that reboots in order, again and again', () => {
    const world = new World(many(8));
    while (world.rollout.state === 'running') {
      world.pass();
      for (const [index, serial] of world.serials().entries()) {
        const { state, runs, since } = world.machine(index);
        const isOver = state === 'up' && runs === TARGET && world.now - since >= MINUTE;
        if (isOver && world.steps.get(serial)?.state === 'done') world.reboot(index);
      }
    }
    assert.equal(world.rollout.state, 'stopped');
    assert.match(world.rollout.reason ?? '', /^it was up, and booted 3 times in an hour/);
    assert.ok(statesOf(world).endsWith('waiting'), statesOf(world));
  });

  it('stops with one that does not come up again in its time', () => {
    const world = withOneDone();
    become(world, 0, 'loading');
    world.passMinutes(4);
    assert.equal(statesOf(world), 'done done waiting', 'nobody is told beside it');
    assert.equal(
      waitsFor(world.rollout, world.facts()),
      'waits until they were up for long enough: pi-10000000 (loading)',
    );
    world.passUntilOver();
    assert.equal(statesOf(world), 'failed done waiting');
    assert.match(world.rollout.reason ?? '', /^it was up, and is not up again within 5m: it is loading/);
  });

  it('waits for one that a person reboots, and goes on', () => {
    for (const isAnnounced of [true, false]) {
      const world = withOneDone();
      if (isAnnounced) world.reboot(0);
      else Object.assign(become(world, 0, 'loading'), { resetAt: world.now - 1_000 * MINUTE });
      world.passMinutes(1.5);
      assert.equal(world.step(2), undefined, 'nobody is told beside it');
      world.passUntilOver();
      assert.deepEqual([world.rollout.state, statesOf(world)], ['finished', 'done done done']);
      assert.equal(world.mostDown, 1);
    }
  });

  it('minds nobody who is rebooted now and then', () => {
    const world = withOneDone();
    world.rollout = { ...world.rollout, state: 'paused' };
    for (let count = 0; count < 4; count += 1) {
      world.passMinutes(61);
      world.reboot(0);
    }
    world.passMinutes(61);
    world.rollout = { ...world.rollout, state: 'running' };
    world.passUntilOver();
    assert.deepEqual([world.rollout.state, statesOf(world)], ['finished', 'done done done']);
  });

  it('minds nobody in whose name boot files are fetched', () => {
    const world = withOneDone();
    while (world.step(1)?.state !== 'done') world.pass();
    for (let count = 0; count < 4; count += 1) {
      become(world, 0, 'loading');
      world.passMinutes(0.5);
      Object.assign(become(world, 0, 'up'), { runs: TARGET });
      world.passMinutes(0.5);
    }
    world.passUntilOver();
    assert.deepEqual([world.rollout.state, statesOf(world)], ['finished', 'done done done']);
  });

  it('stops with one that runs something else, whatever gave it that', () => {
    const world = withOneDone();
    world.machine(0).runs = BASE;
    world.passUntilOver();
    assert.match(world.rollout.reason ?? '', /^it was up, and runs web-00000000000a now/);
  });

  it('minds nobody who is switched off in order', () => {
    const world = withOneDone();
    become(world, 0, 'off');
    world.passUntilOver();
    assert.deepEqual([world.rollout.state, world.machine(0).state], ['finished', 'off']);
  });

  it('hears them first, when the service was away for long', () => {
    const world = withOneDone();
    while (statesOf(world) !== 'done done told') world.pass();
    become(world, 0, 'silent'); // as it was when the service ended
    world.kill(600);
    world.passMinutes(0.5);
    assert.equal(world.rollout.state, 'running');
    Object.assign(become(world, 0, 'up'), { runs: TARGET });
    world.passUntilOver();
    assert.deepEqual([world.rollout.state, statesOf(world)], ['finished', 'done done done']);
  });

  it('tells nobody before they are heard of again by a service that has just started', () => {
    const world = withOneDone();
    while (world.machine(1).runs !== TARGET) world.pass();
    world.rollout = { ...world.rollout, state: 'paused' };
    world.pass();
    world.rollout = { ...world.rollout, state: 'running' };
    world.kill();
    world.passMinutes(0.5);
    assert.equal(statesOf(world), 'done done waiting');
    world.passMinutes(1);
    assert.equal(statesOf(world), 'done done told');
  });
});

describe('a rollout with a node in a boot loop', () => {
  for (const [power, steps] of [
    [false, 'done waiting'],
    [true, 'done done'],
  ] as const) {
    it(`waits for it as long as for any, and ${power ? 'cycles its power' : 'ends without it'}`, () => {
      const world = new World([GOOD, { ...GOOD, state: 'loops', power }]);
      world.passMinutes(3);
      assert.equal(world.rollout.state, 'running');
      world.passUntilOver(20);
      assert.deepEqual([world.rollout.state, statesOf(world)], ['finished', steps]);
    });
  }
});
