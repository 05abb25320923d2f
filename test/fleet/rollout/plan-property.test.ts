import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { plan } from '../../../src/fleet/rollout/plan.ts';
import type { Rollout, Step } from '../../../src/fleet/rollout/rollout.ts';
import { GOOD, type Manner, MINUTE, many, World } from './world.ts';

const manners: fc.Arbitrary<Manner> = fc.record({
  target: fc.constantFrom(
    'good',
    'good',
    'good',
    'panics',
    'unhealthy',
    'no kernel',
    'sickens',
    'dies',
    'loops',
  ),
  power: fc.boolean(),
  cycle: fc.constantFrom('works', 'works', 'off fails', 'on fails', 'nobody answers'),
  state: fc.constantFrom('up', 'up', 'up', 'off', 'silent', 'loops'),
  isDeaf: fc.constantFrom(false, false, false, true),
  bootSeconds: fc.constantFrom(20, 60, 290, 400),
  check: fc.constantFrom('passes', 'passes', 'fails'),
  isSick: fc.constantFrom(false, false, false, true),
});
const racks = fc.array(manners, { minLength: 1, maxLength: 9 });
const sizes = fc.record({ canary: fc.integer({ min: 1, max: 3 }), batch: fc.integer({ min: 1, max: 4 }) });
const checks = fc.constantFrom<Partial<Rollout>>({}, { check: 'http://{ip}/' });

describe('whatever the nodes are like', () => {
  it('never more are down than are told at once, and who fails ends with the base', () => {
    fc.assert(
      fc.property(racks, sizes, checks, (rack, size, check) => {
        const world = new World(rack, { ...size, ...check });
        for (let resumes = 0; resumes <= 3; resumes += 1) {
          if (world.rollout.state === 'stopped') world.resume();
          world.passUntilOver();
          if (world.rollout.state === 'stopped') world.passMinutes(20);
          assert.notEqual(world.rollout.state, 'running', 'it comes to an end');
        }
        assert.ok(world.mostDown <= Math.max(size.canary, size.batch), `${world.mostDown} were down`);
        for (const [serial, step] of world.steps) {
          if (step.state !== 'failed') continue;
          assert.equal(world.intended(serial), world.channel);
          const machine = world.machines.get(serial);
          const { power, cycle, isDeaf, isSick } = machine?.manner ?? GOOD;
          const comesBack = (power && cycle === 'works') || (machine?.state === 'unhealthy' && !isSick);
          if (comesBack && !isDeaf)
            assert.deepEqual(
              [machine?.runs, machine?.state],
              [world.rollout.base, isSick ? 'unhealthy' : 'up'],
            );
        }
      }),
      { numRuns: 300 },
    );
  });

  it('a service that is killed again and again comes to the same end, and reboots nobody twice', () => {
    // Machines that answer: of others, what was under way at the kill is nobody's knowledge. Nor does the end hang on when
    // a machine goes down behind the rollout.
    const hale = fc.array(
      manners.map((manner): Manner => {
        const target = ['sickens', 'dies', 'loops'].includes(manner.target) ? 'good' : manner.target;
        return { ...manner, target, state: 'up', isDeaf: false, bootSeconds: 40, cycle: 'works' };
      }),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(
        hale,
        sizes,
        fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 8 }),
        (rack, size, kills) => {
          const calm = new World(rack, size);
          calm.passUntilOver();
          const shaken = new World(rack, size);
          for (const passes of kills) {
            for (let count = 0; count < passes && shaken.rollout.state === 'running'; count += 1)
              shaken.pass();
            shaken.kill();
            shaken.now += ((passes % 3) - 1) * 60 * MINUTE; // nor does it mind what the clock is set to
          }
          shaken.passUntilOver();
          if (calm.rollout.state === 'stopped') {
            calm.passMinutes(20);
            shaken.passMinutes(20);
          }
          assert.equal(shaken.rollout.state, calm.rollout.state);
          assert.ok(shaken.mostDown <= Math.max(size.canary, size.batch));
          for (const [index, serial] of calm.serials().entries()) {
            const step: Step | undefined = calm.steps.get(serial);
            assert.equal(shaken.steps.get(serial)?.state, step?.state);
            if (step?.state === 'done') assert.equal(shaken.machine(index).resets, 1, 'rebooted once');
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('plan stands still for what is over', () => {
    const world = new World(many(2));
    world.passMinutes(0.5);
    for (const state of ['aborted', 'finished'] as const)
      assert.deepEqual(plan({ ...world.rollout, state }, world.facts()), []);
  });
});
