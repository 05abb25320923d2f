import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Action, plan } from '../../../src/fleet/rollout/plan.ts';
import type { Rollout, Step } from '../../../src/fleet/rollout/rollout.ts';
import { GOOD, type Manner, MINUTE, SECOND, World } from './world.ts';

const many = (count: number, manner: Manner = GOOD): Manner[] => Array.from({ length: count }, () => manner);
const statesOf = ({ steps, machines }: World): string =>
  [...machines.keys()].map((serial) => steps.get(serial)?.state ?? 'waiting').join(' ');

describe('a rollout', () => {
  const cases: Array<{
    given: string;
    nodes: Manner[];
    options?: Partial<Rollout>;
    state: Rollout['state'];
    steps: string;
    reason?: RegExp;
    down?: number;
  }> = [
    { given: 'good nodes', nodes: many(4), state: 'finished', steps: 'done done done done', down: 1 },
    {
      given: 'canary 2, batch 3',
      nodes: many(8),
      options: { canary: 2, batch: 3 },
      state: 'finished',
      steps: 'done done done done done done done done',
      down: 3,
    },
    {
      given: 'a canary whose kernel panics, with power',
      nodes: [{ ...GOOD, target: 'panics', power: true }, ...many(3)],
      state: 'stopped',
      steps: 'failed waiting waiting waiting',
      reason: /not up within 5m: it is kernel/,
      down: 1,
    },
    {
      given: 'a canary that reports a failure',
      nodes: [{ ...GOOD, target: 'unhealthy' }, ...many(3)],
      state: 'stopped',
      steps: 'failed waiting waiting waiting',
      reason: /unhealthy for 1m/,
      down: 1,
    },
    {
      given: 'one of the second batch that never gets its kernel',
      nodes: [...many(3), { ...GOOD, target: 'no kernel', power: true }, ...many(3)],
      options: { batch: 2 },
      state: 'stopped',
      steps: 'done done done failed done waiting waiting',
      down: 2,
    },
    {
      given: 'a check that fails',
      nodes: [{ ...GOOD, check: 'fails' }, ...many(2)],
      options: { check: 'http://{ip}/' },
      state: 'stopped',
      steps: 'failed waiting waiting',
      reason: /its check did not pass within 5m: answers 500/,
    },
    {
      given: 'a check that passes',
      nodes: many(2),
      options: { check: 'http://{ip}/' },
      state: 'finished',
      steps: 'done done',
    },
    {
      given: 'nodes that are off or silent, without power',
      nodes: [{ ...GOOD, state: 'off' }, { ...GOOD, state: 'silent' }, GOOD],
      state: 'finished',
      steps: 'waiting waiting done',
    },
    {
      given: 'a silent node with power',
      nodes: [{ ...GOOD, state: 'silent', power: true }, GOOD],
      state: 'finished',
      steps: 'done done',
    },
    {
      given: 'nodes of which none is there',
      nodes: many(3, { ...GOOD, state: 'off' }),
      state: 'stopped',
      steps: 'waiting waiting waiting',
      reason: /none of its nodes could be reached/,
    },
    {
      given: 'a node that takes no order, without power',
      nodes: [{ ...GOOD, isDeaf: true }, GOOD],
      state: 'finished',
      steps: 'skipped done',
    },
    {
      given: 'a node that takes no order, with power',
      nodes: [{ ...GOOD, isDeaf: true, power: true }, GOOD],
      state: 'finished',
      steps: 'done done',
      down: 1,
    },
    {
      given: 'a node that takes an order later than its time is over',
      nodes: [{ ...GOOD, isDeaf: true, power: true }],
      options: { withinSeconds: 60 },
      state: 'finished',
      steps: 'done',
    },
    {
      given: 'nodes slower than the time they have',
      nodes: many(2, { ...GOOD, bootSeconds: 400, power: true }),
      state: 'stopped',
      steps: 'failed waiting',
    },
  ];
  for (const { given, nodes, options, state, steps, reason, down } of cases) {
    it(`of ${given} is ${state}`, () => {
      const world = new World(nodes, options);
      world.passUntilOver();
      assert.deepEqual([world.rollout.state, statesOf(world)], [state, steps]);
      if (reason) assert.match(world.rollout.reason ?? '', reason);
      if (down !== undefined) assert.equal(world.mostDown, down);
      if (state === 'stopped') world.passMinutes(15);
      for (const [index, serial] of world.serials().entries()) {
        if (world.steps.get(serial)?.state !== 'failed') continue;
        const machine = world.machine(index);
        assert.deepEqual([machine.state, machine.runs], ['up', world.rollout.base], `${serial} is back`);
      }
    });
  }

  it('counts who is up with the target already, and reboots nobody for that', () => {
    const world = new World(many(3));
    const machine = world.machine(0);
    machine.runs = world.rollout.target;
    machine.boot = { generation: world.rollout.target, since: world.now - MINUTE, gotKernel: true };
    world.passUntilOver();
    assert.deepEqual([world.rollout.state, machine.resets], ['finished', 0]);
    assert.ok(world.pointers.size === 0 && world.channel === world.rollout.target);
  });

  it('tells nobody new while it is paused, and goes on then', () => {
    const world = new World(many(3));
    world.passMinutes(0.5);
    world.rollout = { ...world.rollout, state: 'paused' };
    world.passMinutes(10);
    assert.equal(statesOf(world), 'done waiting waiting');
    world.resume();
    world.passUntilOver();
    assert.equal(statesOf(world), 'done done done');
  });

  it('tries who failed again when it is resumed, once that one is back', () => {
    const world = new World([{ ...GOOD, target: 'unhealthy' }, GOOD]);
    world.passUntilOver();
    assert.equal(world.rollout.state, 'stopped');
    (world.machine(0) as { manner: Manner }).manner = GOOD; // a person mended it
    world.resume();
    world.passUntilOver();
    assert.deepEqual([world.rollout.state, statesOf(world)], ['finished', 'done done']);
    assert.equal(world.mostDown, 1);
  });

  it('goes on without a node that never comes back, when a person resumes it', () => {
    const world = new World([{ ...GOOD, target: 'panics' }, GOOD, GOOD]);
    world.passUntilOver();
    world.resume();
    world.passUntilOver();
    assert.deepEqual([world.rollout.state, statesOf(world)], ['finished', 'skipped done done']);
  });

  it('leaves out who is removed on the way', () => {
    const world = new World(many(3));
    world.passMinutes(0.5);
    world.machines.delete(world.serials()[0] as never);
    world.passUntilOver();
    assert.equal(world.rollout.state, 'finished');
    assert.deepEqual([...world.steps.values()].map(({ state }) => state).sort(), ['done', 'done', 'left']);
  });

  it('stops and puts back when its generation vanishes', () => {
    const world = new World(many(3));
    world.passMinutes(0.25);
    assert.equal(statesOf(world), 'told waiting waiting');
    world.isTargetThere = false;
    world.passMinutes(5);
    assert.deepEqual([world.rollout.state, statesOf(world)], ['stopped', 'failed waiting waiting']);
    assert.match(world.rollout.reason ?? '', /no longer there/);
    assert.equal(world.machine(0).runs, world.rollout.base);
  });

  it('at the next boot reboots nobody, and takes no more than it may', () => {
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
});

describe('an order', () => {
  it('is not sent again to a node that boots the target since it was told', () => {
    const world = new World([GOOD]);
    world.passMinutes(0.4);
    world.kill();
    world.passUntilOver();
    assert.deepEqual([world.rollout.state, world.machine(0).resets], ['finished', 1]);
  });

  it('says the same again as long as the facts are the same', () => {
    const world = new World(many(2));
    const [first, again] = [world.plan(), world.plan()];
    assert.deepEqual(first, again);
    assert.deepEqual(
      first.map(({ kind }) => kind),
      ['tell'],
    );
  });

  it('comes before the power is cycled of a node that reports', () => {
    const world = new World([{ ...GOOD, power: true }]);
    world.passUntilOver();
    const kinds = world.acted.map(({ kind }: Action) => kind);
    assert.deepEqual(kinds, ['tell', 'order', 'done', 'finish']);
  });
});

const manners = fc.record<Manner>({
  target: fc.constantFrom('good', 'good', 'good', 'panics', 'unhealthy', 'no kernel'),
  power: fc.boolean(),
  state: fc.constantFrom('up', 'up', 'up', 'off', 'silent'),
  isDeaf: fc.constantFrom(false, false, false, true),
  bootSeconds: fc.constantFrom(20, 60, 290, 400),
  check: fc.constantFrom('passes', 'passes', 'fails'),
});
const racks = fc.array(manners, { minLength: 1, maxLength: 9 });
const sizes = fc.record({ canary: fc.integer({ min: 1, max: 3 }), batch: fc.integer({ min: 1, max: 4 }) });
const checks = fc.constantFrom<Partial<Rollout>>({}, { check: 'http://{ip}/' });

describe('whatever the nodes are like', () => {
  it('never more are down than are told at once, and who fails ends with the base', () => {
    fc.assert(
      fc.property(racks, sizes, checks, (rack, size, check) => {
        const world = new World(rack, { ...size, ...check });
        world.passUntilOver();
        if (world.rollout.state === 'stopped') world.passMinutes(20);
        assert.notEqual(world.rollout.state, 'running', 'it comes to an end');
        assert.ok(world.mostDown <= Math.max(size.canary, size.batch), `${world.mostDown} were down`);
        for (const [serial, step] of world.steps) {
          if (step.state !== 'failed') continue;
          assert.equal(world.intended(serial), world.channel);
          const machine = world.machines.get(serial);
          const comesBack = machine?.manner.power || machine?.state === 'unhealthy';
          if (comesBack && !machine?.manner.isDeaf)
            assert.deepEqual([machine?.runs, machine?.state], [world.rollout.base, 'up']);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('a service that is killed again and again comes to the same end, and reboots nobody twice', () => {
    // Machines that answer: of others, what was under way at the kill is nobody's knowledge.
    const hale = fc.array(
      manners.map((manner): Manner => ({ ...manner, state: 'up', isDeaf: false, bootSeconds: 40 })),
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
      assert.deepEqual(plan({ ...world.rollout, state }, world.facts(), world.now + 60 * SECOND), []);
  });
});
