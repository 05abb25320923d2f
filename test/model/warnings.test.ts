import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lineBudget } from '../../src/model/line-budget.ts';
import { silentLog } from '../../src/model/log.ts';
import { Warnings } from '../../src/model/warnings.ts';

test('a warning stands from its first word to its end, and is logged when it changes alone', () => {
  const clock = { now: 1000 };
  const lines: string[] = [];
  const write = (_fields: object, text: string) => void lines.push(text);
  const warnings = new Warnings({ ...silentLog, warn: write, info: write }, () => clock.now);
  warnings.raise('A', 'a is wrong');
  clock.now = 2000;
  warnings.raise('B', 'b is wrong');
  warnings.raise('A', 'a is wrong');
  warnings.raise('A', 'a is very wrong');
  assert.deepEqual(warnings.all(), [
    { id: 'A', text: 'a is very wrong', since: 1000 },
    { id: 'B', text: 'b is wrong', since: 2000 },
  ]);
  warnings.clear('A');
  warnings.clear('A');
  assert.deepEqual(
    warnings.all().map(({ id }) => id),
    ['B'],
  );
  assert.deepEqual(lines, ['a is wrong', 'b is wrong', 'a is very wrong', 'A is over']);
});

test('warnings are bounded', () => {
  const warnings = new Warnings(silentLog, Date.now);
  for (let count = 0; count < 1000; count++) warnings.raise(`W${count}`, 'wrong');
  assert.equal(warnings.all().length, 100);
});

test('of a storm of lines so many are written in each second, and how many were not is told', () => {
  const clock = { now: 10_000 };
  const told: number[] = [];
  const budget = lineBudget(3, () => clock.now);
  for (let count = 0; count < 10; count++) budget((left) => told.push(left));
  clock.now += 1000;
  assert.ok(budget((left) => told.push(left)));
  assert.deepEqual(told, [0, 0, 0, 7]);
});
