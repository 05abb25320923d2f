import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { GOOD, type Manner, TARGET, World } from './world.ts';

describe('a rollout that puts a node back', () => {
  it('leaves a broken switch in peace for longer each time', () => {
    const world = new World([{ ...GOOD, target: 'panics', power: true, cycle: 'off fails' }]);
    world.passMinutes(24 * 60);
    const cycles = world.acted.filter(({ kind }) => kind === 'cycle').length;
    assert.ok(cycles > 100 && cycles < 150, `${cycles} in a day`);
  });

  it('counts who was given up as there again when it runs as sick as it did before', () => {
    const sick: Manner = { ...GOOD, isSick: true };
    const world = new World([{ ...sick, target: 'panics' }, sick], { withinSeconds: 120 });
    world.passUntilOver();
    world.resume();
    world.passUntilOver();
    assert.deepEqual([world.step(0)?.state, world.rollout.state], ['skipped', 'stopped']);
    assert.match(world.rollout.reason ?? '', /beside pi-10000000: start or remove what did not come back/);
    world.reboot(0); // by a person
    world.passMinutes(2);
    world.resume();
    world.pass();
    assert.deepEqual([world.step(0)?.state, world.rollout.state], ['told', 'running']);
  });

  it('cuts nobody’s power in the middle of an ordered reboot, because a person resumed it', () => {
    const world = new World([{ ...GOOD, target: 'unhealthy', power: true }], { withinSeconds: 60 });
    world.passUntilOver();
    while (world.machine(0).state !== 'off') world.pass();
    const { resets } = world.machine(0);
    world.resume();
    world.pass();
    assert.equal(world.machine(0).resets, resets);
  });

  it('cuts nobody’s power for want of a report, when the service has just started', () => {
    const manner: Manner = { ...GOOD, target: 'unhealthy', power: true };
    const world = new World([manner]);
    while (world.machine(0).runs !== TARGET) world.pass();
    const machine = world.machine(0) as { manner: Manner };
    machine.manner = { ...manner, isDeaf: true };
    world.passUntilOver();
    world.kill();
    machine.manner = manner;
    const before = world.acted.length;
    world.passMinutes(1);
    assert.deepEqual(world.acted.slice(before), []);
    world.passMinutes(3);
    assert.deepEqual(
      world.acted.slice(before).map(({ kind }) => kind),
      ['order', 'back'],
    );
  });

  for (const state of ['off', 'loading'] as const) {
    for (const isKilled of [false, true]) {
      const of = `took its order and hangs when it is ${state}`;
      it(`cycles the power of one that ${of}${isKilled ? ', also after a kill' : ''}`, () => {
        const world = new World([{ ...GOOD, target: 'unhealthy', power: true }]);
        world.passUntilOver();
        while (world.machine(0).state !== state) world.pass();
        world.machine(0).resetAt = undefined;
        if (isKilled) world.kill();
        const before = world.acted.length;
        world.passMinutes(1);
        assert.deepEqual(world.acted.slice(before), [], 'it may be in the middle of its reboot');
        world.passMinutes(8);
        assert.deepEqual(
          world.acted.slice(before).map(({ kind }) => kind),
          ['cycle', 'back'],
        );
        assert.deepEqual([world.machine(0).state, world.machine(0).runs], ['up', world.rollout.base]);
      });
    }
  }

  it('cuts nobody’s power that boots slowly', () => {
    const world = new World([{ ...GOOD, target: 'unhealthy', power: true, bootSeconds: 290 }]);
    world.passUntilOver();
    world.passMinutes(15);
    assert.deepEqual([world.machine(0).state, world.machine(0).resets], ['up', 2]);
  });
});
