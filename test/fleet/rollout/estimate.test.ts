import assert from 'node:assert/strict';
import { it } from 'node:test';
import { estimateEnd } from '../../../src/fleet/rollout/estimate.ts';
import type { Rollout, Step } from '../../../src/fleet/rollout/rollout.ts';
import { World } from './world.ts';

const NOW = 1_000_000;
const done = (seconds: number): Step => ({ state: 'done', toldAt: 0, doneAt: seconds * 1000 });
const rollout = (fields: Partial<Rollout>): Rollout => ({ ...new World([]).rollout, batch: 4, ...fields });

const cases: Array<{
  given: string;
  rollout?: Partial<Rollout>;
  steps: Step[];
  waiting: number;
  expect?: number;
}> = [
  { given: 'nobody is done', steps: [], waiting: 5 },
  { given: 'two batches are left, of a minute each', steps: [done(60)], waiting: 8, expect: NOW + 120_000 },
  { given: 'a batch not quite full counts as one', steps: [done(60)], waiting: 5, expect: NOW + 120_000 },
  {
    given: 'one is under way for 20 s',
    steps: [done(60), { state: 'told', toldAt: NOW - 20_000, by: 'order' }],
    waiting: 4,
    expect: NOW + 40_000 + 60_000,
  },
  {
    given: 'one is late by 43 s',
    steps: [done(60), { state: 'told', toldAt: NOW - 103_000, by: 'order' }],
    waiting: 0,
    expect: NOW,
  },
  { given: 'canaries are left', rollout: { canary: 3 }, steps: [done(10)], waiting: 6, expect: NOW + 20_000 },
  { given: 'it is paused', rollout: { state: 'paused' }, steps: [done(10)], waiting: 6 },
  { given: 'nodes boot when they please', rollout: { atNextBoot: true }, steps: [done(10)], waiting: 6 },
  { given: 'those done were up with it already', steps: [{ state: 'done', doneAt: 1 }], waiting: 6 },
];
for (const { given, rollout: fields = {}, steps, waiting, expect } of cases) {
  it(`the end of a rollout, when ${given}`, () => {
    assert.equal(estimateEnd(rollout(fields), steps, waiting, NOW), expect);
  });
}

it('the end of a rollout that is late is told anew every ten seconds', () => {
  const steps: Step[] = [done(60), { state: 'told', toldAt: 0, by: 'order' }];
  const ends = Array.from({ length: 60 }, (_, second) =>
    estimateEnd(rollout({}), steps, 4, NOW + second * 1000),
  );
  assert.equal(new Set(ends).size, 7);
});
