import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Action } from '../../../src/fleet/rollout/plan.ts';
import type { Rollout } from '../../../src/fleet/rollout/rollout.ts';
import { GOOD, type Manner, MINUTE, many, statesOf, TARGET, World } from './world.ts';

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

  it('goes on without a node that never comes back, when a person resumes it and more may be down', () => {
    const world = new World([GOOD, { ...GOOD, target: 'panics' }, ...many(5)], { batch: 2 });
    world.passUntilOver();
    world.resume();
    world.passUntilOver();
    assert.deepEqual(
      [world.rollout.state, statesOf(world)],
      ['finished', `done skipped${' done'.repeat(5)}`],
    );
    assert.equal(world.mostDown, 2);
  });

  it('takes no other node down for one that never comes back, however often it is resumed', () => {
    const world = new World(many(4, { ...GOOD, target: 'panics' }));
    for (let resumes = 0; resumes < 3; resumes += 1) {
      world.passUntilOver();
      world.resume();
    }
    world.passUntilOver();
    assert.deepEqual([world.rollout.state, statesOf(world)], ['stopped', 'skipped waiting waiting waiting']);
    assert.match(world.rollout.reason ?? '', /^no more nodes may be down beside pi-10000000/);
    assert.equal(world.mostDown, 1);

    (world.machine(0) as { manner: Manner }).manner = GOOD; // a person mended it, and switched it on
    world.reboot(0);
    world.passMinutes(5);
    world.resume();
    world.passMinutes(2);
    assert.equal(statesOf(world).split(' ')[0], 'done', 'it has its turn again');
  });

  it('does not wait for a node that is down and was removed', () => {
    const world = new World([{ ...GOOD, target: 'panics' }, GOOD]);
    world.passUntilOver();
    world.resume();
    world.passUntilOver();
    assert.equal(statesOf(world), 'skipped waiting');
    world.machines.delete(world.serials()[0] as never);
    world.resume();
    world.passUntilOver();
    assert.deepEqual([world.rollout.state, statesOf(world)], ['finished', 'done']);
  });

  it('stops with a node whose power it cut and could not give back, and tries that again now and then', () => {
    const deaf: Manner = { ...GOOD, isDeaf: true, power: true, cycle: 'on fails' };
    const world = new World(many(4, deaf));
    world.passUntilOver();
    assert.deepEqual([world.rollout.state, statesOf(world)], ['stopped', 'failed waiting waiting waiting']);
    assert.match(world.rollout.reason ?? '', /its power could not be cycled, and may be off: on fails/);
    const before = world.acted.length;
    world.passMinutes(10);
    const tries = world.acted.slice(before).map(({ kind }) => kind);
    assert.ok(tries.length >= 2 && tries.length <= 4, tries.join(' '));
    (world.machine(0) as { manner: Manner }).manner = { ...deaf, cycle: 'works' };
    world.passMinutes(11);
    assert.deepEqual([world.machine(0).state, world.machine(0).runs], ['up', world.rollout.base]);
  });

  it('skips nodes that were silent before, when the switch does not answer', () => {
    const silent: Manner = { ...GOOD, state: 'silent', power: true, cycle: 'nobody answers' };
    const world = new World([GOOD, silent, silent, GOOD]);
    world.passUntilOver();
    assert.deepEqual([world.rollout.state, statesOf(world)], ['finished', 'done skipped skipped done']);
  });

  it('skips a node that takes no order and whose power could not be cut', () => {
    const world = new World([{ ...GOOD, isDeaf: true, power: true, cycle: 'off fails' }, GOOD]);
    world.passUntilOver();
    assert.deepEqual([world.rollout.state, statesOf(world)], ['finished', 'skipped done']);
    const [step] = world.steps.values();
    assert.match(step?.state === 'skipped' ? step.reason : '', /its power could not be cycled: off fails/);
  });

  it('leaves nodes off that are off, whatever switches them', () => {
    const world = new World([{ ...GOOD, state: 'off', power: true }, GOOD]);
    world.passUntilOver();
    assert.deepEqual([world.rollout.state, statesOf(world)], ['finished', 'waiting done']);
    assert.equal(world.machine(0).resets, 0);
  });

  it('stops with a node that was up and became unhealthy, before others are told', () => {
    const world = new World([{ ...GOOD, target: 'sickens' }, { ...GOOD, bootSeconds: 120 }, ...many(3)]);
    world.passUntilOver();
    assert.deepEqual(
      [world.rollout.state, statesOf(world)],
      ['stopped', 'failed done waiting waiting waiting'],
    );
    assert.match(world.rollout.reason ?? '', /it was up, and became unhealthy/);
    world.passMinutes(5);
    assert.deepEqual([world.machine(0).state, world.machine(0).runs], ['up', world.rollout.base]);
  });

  it('reboots one, when all that were done become unhealthy at once: it is hardly their generation', () => {
    const world = new World(many(6));
    while ([...world.steps.values()].filter(({ state }) => state === 'done').length < 5) world.pass();
    for (const index of [0, 1, 2, 3, 4])
      Object.assign(world.machine(index), { state: 'unhealthy', since: world.now });
    world.passUntilOver();
    world.passMinutes(10);
    assert.equal(world.rollout.state, 'stopped');
    const [first, ...others] = [0, 1, 2, 3, 4].map((index) => world.machine(index).resets);
    assert.deepEqual([first, others], [2, [1, 1, 1, 1]]);
  });

  it('has a node back that was unhealthy before', () => {
    const world = new World([{ ...GOOD, isSick: true }, GOOD]);
    world.machine(1).state = 'off';
    world.passUntilOver();
    world.passMinutes(5);
    const [step] = world.steps.values();
    assert.deepEqual(
      [world.rollout.state, step?.state === 'failed' && step.backAt !== undefined],
      ['stopped', true],
    );
  });

  for (const [given, hours] of [
    ['back', -1],
    ['forth', 1],
  ] as const) {
    it(`does not mind that the clock is set ${given} on the way`, () => {
      const world = new World([GOOD, { ...GOOD, target: 'unhealthy' }, GOOD]);
      for (const states of ['told waiting waiting', 'done told waiting', 'done failed waiting']) {
        for (let passes = 0; passes < 60 && statesOf(world) !== states; passes += 1) world.pass();
        assert.equal(statesOf(world), states);
        world.now += hours * 60 * MINUTE;
      }
      assert.match(world.rollout.reason ?? '', /unhealthy for 1m/);
      world.passMinutes(2);
      const { state, runs, resets } = world.machine(1);
      assert.deepEqual([state, runs, resets], ['up', world.rollout.base, 2]);
    });
  }

  it('leaves a node alone that fell back and boots the base', () => {
    const world = new World([{ ...GOOD, target: 'panics', power: true }]);
    world.passMinutes(1.5);
    assert.deepEqual([world.machine(0).state, world.machine(0).boot?.generation], ['kernel', TARGET]);
    world.fallenBack.add(world.serials()[0] as never);
    world.reboot(0);
    world.passUntilOver();
    assert.match(world.rollout.reason ?? '', /it fell back to web-00000000000a/);
    world.passMinutes(10);
    const { state, runs, resets } = world.machine(0);
    assert.deepEqual([state, runs, resets], ['up', world.rollout.base, 2]);
  });

  it('orders a node back again that refused, though not at once, and cuts its power at last', () => {
    for (const power of [false, true]) {
      const world = new World([{ ...GOOD, target: 'unhealthy' }]);
      world.passMinutes(1);
      (world.machine(0) as { manner: Manner }).manner = { ...GOOD, target: 'unhealthy', isDeaf: true, power };
      const before = world.acted.length;
      world.passMinutes(12);
      const tries = world.acted.slice(before).map(({ kind }) => kind);
      assert.deepEqual(
        tries,
        power ? ['fail', 'order', 'cycle', 'back'] : ['fail', 'order', 'order', 'order'],
      );
    }
  });

  it('asks the check anew when a node was not well in between', () => {
    const world = new World([GOOD], { check: 'http://{ip}/' });
    while (world.machine(0).runs !== TARGET) world.pass();
    const [first] = world.plan();
    assert.equal(first?.kind, 'check');
    world.act(first as Action);
    world.machine(0).state = 'unhealthy';
    assert.deepEqual(world.plan(), []);
    Object.assign(world.machine(0), { state: 'up', since: world.now + 1 });
    assert.deepEqual(
      world.plan().map(({ kind }) => kind),
      ['check'],
    );
    world.passUntilOver();
    assert.equal(world.rollout.state, 'finished');
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
