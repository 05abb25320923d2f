import assert from 'node:assert/strict';
import { test } from 'node:test';
import { throttle } from '../../src/model/throttle.ts';

test('once in the interval, with the number that was left out', () => {
  let now = 0;
  const emitted: Array<[at: number, leftOut: number]> = [];
  const once = throttle(10, () => now);
  for (now = 0; now < 25; now++) once((leftOut) => emitted.push([now, leftOut]));
  assert.deepEqual(emitted, [
    [0, 0],
    [10, 9],
    [20, 9],
  ]);
});
