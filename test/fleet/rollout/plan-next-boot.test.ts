import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GOOD, many, statesOf, World } from './world.ts';

describe('a rollout at the next boot', () => {
  it('reboots nobody, and takes no more than it may', () => {
    const world = new World(many(4), { atNextBoot: true, batch: 2 });
    world.passMinutes(30);
    assert.equal(statesOf(world), 'waiting waiting waiting waiting');
    for (const index of [0, 1, 2]) world.reboot(index);
    world.passMinutes(5);
    assert.equal(statesOf(world), 'done waiting waiting waiting', 'one canary');
    for (const index of [1, 2, 3]) world.reboot(index);
    world.passMinutes(5);
    assert.equal(statesOf(world), 'done done done waiting');
    world.reboot(3);
    world.passUntilOver();
    assert.equal(world.rollout.state, 'finished');
    assert.ok(world.acted.every(({ kind }) => kind !== 'order' && kind !== 'cycle'));
  });

  for (const state of ['off', 'silent'] as const) {
    it(`waits for nodes that are ${state}, and takes no more than it may when they come`, () => {
      const world = new World(many(4, { ...GOOD, state }), { atNextBoot: true });
      world.passMinutes(8 * 60);
      assert.deepEqual(
        [world.rollout.state, statesOf(world)],
        ['running', 'waiting waiting waiting waiting'],
      );
      const reboot = () => {
        for (const index of [0, 1, 2, 3]) if (world.step(index) === undefined) world.reboot(index);
        world.passMinutes(5);
        return statesOf(world);
      };
      assert.equal(reboot(), 'done waiting waiting waiting');
      world.passMinutes(8 * 60);
      assert.deepEqual([world.rollout.state, world.channel], ['running', world.rollout.base]);
      assert.equal(reboot(), 'done done waiting waiting');
      reboot();
      reboot();
      assert.deepEqual([world.rollout.state, world.channel], ['finished', world.rollout.target]);
    });
  }

  it('minds nobody who is rebooted, or whose plug is pulled', () => {
    const world = new World(many(3), { atNextBoot: true, batch: 2 });
    for (const index of [0, 0, 0, 0, 1]) {
      world.reboot(index);
      world.passMinutes(8);
    }
    Object.assign(world.machine(1), { state: 'silent', since: world.now, runs: undefined });
    world.passMinutes(10);
    world.reboot(2);
    world.passUntilOver();
    assert.deepEqual([world.rollout.state, statesOf(world)], ['finished', 'done done done']);
  });

  for (const target of ['dies', 'loops'] as const) {
    it(`stops when more than the batch were up, and ${target === 'dies' ? 'hang' : 'boot again and again'}`, () => {
      const world = new World(many(6, { ...GOOD, target }), { atNextBoot: true });
      for (const index of [0, 1, 2, 3, 4, 5]) {
        world.reboot(index);
        world.passMinutes(15);
      }
      assert.equal(world.rollout.state, 'stopped');
      assert.match(
        world.rollout.reason ?? '',
        /^more than the batch were up with it, and are not: pi-10000000, pi-/,
      );
      assert.equal(statesOf(world), 'done done waiting waiting waiting waiting');
    });
  }

  it('stops, and says so, when no more may be down beside a node that did not come back', () => {
    const world = new World([{ ...GOOD, target: 'panics' }, GOOD, GOOD], { atNextBoot: true });
    world.reboot(0);
    world.passUntilOver();
    world.resume();
    world.passUntilOver();
    assert.deepEqual([world.rollout.state, statesOf(world)], ['stopped', 'skipped waiting waiting']);
    assert.match(world.rollout.reason ?? '', /^no more nodes may be down beside pi-10000000/);
    world.reboot(0);
    world.passMinutes(2);
    world.resume();
    for (const index of [1, 2]) {
      world.reboot(index);
      world.passMinutes(5);
    }
    assert.equal(statesOf(world), 'waiting done done');
  });

  it('goes by itself when all that have not booted are removed', () => {
    const world = new World([GOOD, { ...GOOD, state: 'off' }], { atNextBoot: true });
    world.reboot(0);
    world.passMinutes(5);
    assert.equal(statesOf(world), 'done waiting');
    world.machines.delete(world.serials()[1] as never);
    world.pass();
    assert.equal(world.rollout.state, 'finished');
  });
});
