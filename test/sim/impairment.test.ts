import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FaultSource, type Impairment, PERFECT } from '../../src/sim/impairment.ts';

const BAD: Impairment = { lossPercent: 1, duplicatePercent: 0.5, reorderPercent: 2, delayMs: 3, jitterMs: 4 };

/** The first `count` frames' faults, one text each. */
function faults(source: FaultSource, count: number): string[] {
  return Array.from({ length: count }, () => {
    source.next();
    const { isLost, isTwice, isHeldBack, delayMs } = source;
    return JSON.stringify({ isLost, isTwice, isHeldBack, delayMs });
  });
}

test('the n-th frame of a Pi meets the same fault in every run with the same seed', () => {
  const [one, other] = [1, 2].map(() => new FaultSource(7, 'dc:a6:32:00:00:01', 'in', BAD));
  assert.deepEqual(faults(one as FaultSource, 5_000), faults(other as FaultSource, 5_000));
  assert.equal(one?.fingerprint, other?.fingerprint);
});

for (const { name, seed, pi, direction } of [
  { name: 'another seed', seed: 8, pi: 'a', direction: 'in' },
  { name: 'another Pi', seed: 7, pi: 'b', direction: 'in' },
  { name: 'the other direction', seed: 7, pi: 'a', direction: 'out' },
] as const)
  test(`${name}: other faults`, () => {
    const [one, other] = [new FaultSource(7, 'a', 'in', BAD), new FaultSource(seed, pi, direction, BAD)];
    const same = faults(one, 1_000).filter((fault, index) => fault === faults(other, 1)[0] && index >= 0);
    assert.ok(same.length < 10, `${same.length} of 1000 frames met the same`);
    assert.notEqual(one.fingerprint, other.fingerprint);
  });

test('as many frames meet a fault as was asked for, one as likely as the other', () => {
  const count = { isLost: 0, isTwice: 0, isHeldBack: 0 };
  let early = 0;
  const perTenth = new Array<number>(10).fill(0);
  const source = new FaultSource(1, 'a', 'in', BAD);
  for (let frame = 0; frame < 200_000; frame++) {
    source.next();
    for (const key of ['isLost', 'isTwice', 'isHeldBack'] as const) if (source[key]) count[key] += 1;
    if (source.isLost) perTenth[Math.floor(frame / 20_000)] = (perTenth[Math.floor(frame / 20_000)] ?? 0) + 1;
    assert.ok(source.delayMs >= 3 && source.delayMs < 7);
    if (source.delayMs < 5) early += 1;
  }
  // Five standard deviations to either side.
  assert.ok(Math.abs(count.isLost - 2_000) < 230, `${count.isLost} lost`);
  assert.ok(Math.abs(count.isTwice - 1_000 * 0.99) < 160, `${count.isTwice} doubled`);
  assert.ok(Math.abs(count.isHeldBack - 4_000 * 0.99) < 320, `${count.isHeldBack} held back`);
  assert.ok(Math.abs(early - 100_000) < 1_200, `${early} in the earlier half of the jitter`);
  for (const lost of perTenth) assert.ok(Math.abs(lost - 200) < 75, perTenth.join());
});

test('a perfect wire does nothing to any frame', () => {
  const expect = JSON.stringify({ isLost: false, isTwice: false, isHeldBack: false, delayMs: 0 });
  for (const fault of faults(new FaultSource(1, 'a', 'out', PERFECT), 10_000)) assert.equal(fault, expect);
});
