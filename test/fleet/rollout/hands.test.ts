import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Busy } from '../../../src/fleet/orders.ts';
import { LeftOff } from '../../../src/fleet/power.ts';
import { Attempt } from '../../../src/fleet/rollout/attempts.ts';
import { isOnItsWay } from '../../../src/fleet/rollout/facts.ts';
import { Hands } from '../../../src/fleet/rollout/hands.ts';
import { Refusal } from '../../../src/model/command.ts';
import { silentLog } from '../../../src/model/log.ts';
import { nodeSchema } from '../../../src/model/node.ts';
import type { NodeState } from '../../../src/model/node-state.ts';

const NODE = nodeSchema.parse({ serial: '9ffefdef', name: 'pi-one', image: 'web' });

function handsOf(fields: Partial<ConstructorParameters<typeof Hands>[0]>): Hands {
  return new Hands({
    send: async () => {},
    power: { switch: async () => {} },
    addressOf: () => undefined,
    ask: async () => ({ passed: true, text: 'answers 200' }),
    log: silentLog,
    ...fields,
  });
}

const cycles: Array<{ given: string; error?: Error; expect: [Attempt['cycle'], string | undefined] }> = [
  { given: 'works', expect: ['done', undefined] },
  {
    given: 'cuts nothing',
    error: new Refusal('No such outlet', 'Look.'),
    expect: ['failed', 'No such outlet. Look.'],
  },
  {
    given: 'gives nothing back',
    error: new LeftOff('It hangs', 'Look.'),
    expect: ['left off', 'It hangs. Look.'],
  },
];
for (const { given, error, expect } of cycles) {
  it(`of a power cycle that ${given} it is known, and why`, async () => {
    const now = { elapsed: 0 };
    const attempt = new Attempt(() => now.elapsed);
    const hands = handsOf({ power: { switch: () => (error ? Promise.reject(error) : Promise.resolve()) } });
    hands.cycle(NODE, attempt);
    assert.deepEqual([attempt.cycle, attempt.settledFor()], ['under way', undefined]);
    await sleep(1);
    now.elapsed = 7000;
    assert.deepEqual([attempt.cycle, attempt.trouble, attempt.settledFor()], [...expect, 7000]);
  });
}

it('what a check said holds as long as the node stays as it is, and then it is asked anew', async () => {
  const asked: string[] = [];
  const hands = handsOf({
    ask: async (url) => {
      asked.push(url);
      return { passed: true, text: 'answers 200' };
    },
  });
  const attempt = new Attempt(() => 0);
  const passed = () => attempt.check?.passed;
  const ask = async () => {
    hands.check(NODE, attempt, 'http://{name}/');
    await sleep(1);
  };
  attempt.sees('up', 1, 1, false);
  await ask();
  await ask();
  attempt.sees('up', 1, 2, false);
  assert.deepEqual([asked.length, passed()], [1, true]);
  attempt.sees('unhealthy', 3, 3, true);
  assert.equal(passed(), undefined);
  attempt.sees('up', 4, 4, false);
  await ask();
  assert.deepEqual([asked.length, passed()], [2, true]);
});

it('how long a node is in a state is not told by the clock, but for what was before the first look', () => {
  const now = { elapsed: 50_000 };
  const attempt = new Attempt(() => now.elapsed);
  assert.equal(attempt.sees('off', 1_000, 9_000, false).stateFor, 8_000);
  now.elapsed += 5_000;
  assert.equal(attempt.sees('off', 1_000, 9_000_000, false).stateFor, 13_000);
  assert.equal(attempt.sees('up', 8_000_000, 9_000_000, false).stateFor, 0);
  const next = new Attempt(() => now.elapsed, attempt);
  now.elapsed += 2_000;
  assert.equal(next.sees('up', 8_000_000, 0, false).stateFor, 2_000);
  assert.equal(new Attempt(() => 0).sees('up', 8_000_000, 0, false).stateFor, 0, 'the clock was set back');
});

it('how long a node is on its way is not begun anew by each state that it comes through', () => {
  const now = { elapsed: 0 };
  const attempt = new Attempt(() => now.elapsed);
  const sees = (state: NodeState) => {
    now.elapsed += 10_000;
    return attempt.sees(state, now.elapsed, now.elapsed, isOnItsWay(state, true)).awayFor;
  };
  assert.deepEqual(
    (['up', 'asked', 'loading', 'kernel', 'asked'] as const).map(sees),
    [0, 10_000, 20_000, 30_000, 40_000],
  );
  assert.deepEqual((['root mounted', 'up', 'unhealthy'] as const).map(sees), [50_000, 0, 0]);
});

it('how often a node has booted in the last hour is counted, by its reports', () => {
  const now = { elapsed: 0 };
  const attempt = new Attempt(() => now.elapsed);
  const hears = (uptime: number | undefined) => {
    now.elapsed += 60_000;
    return attempt.hears(uptime);
  };
  assert.deepEqual([900, undefined, 1020, 1020, 20.5, 79.5, 19, 20].map(hears), [0, 0, 0, 0, 1, 1, 2, 3]);
  now.elapsed += 56 * 60_000;
  assert.equal(hears(80), 3, 'that is one, and the first is forgotten');
});

it('a node that has another order to take is asked again, and has refused nothing', async () => {
  const attempt = new Attempt(() => 0);
  const busy = new Busy('It has an order to take already', 'Wait until it has.');
  handsOf({ send: () => Promise.reject(busy) }).order(NODE, attempt, () => assert.fail('it took none'));
  assert.equal(attempt.order, 'under way');
  await sleep(1);
  assert.deepEqual([attempt.order, attempt.settledFor(), attempt.failures], [undefined, undefined, 0]);
});
