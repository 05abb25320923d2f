import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FaultSource, type Impairment, PERFECT } from '../../src/sim/impairment.ts';
import { Lane } from '../../src/sim/lane.ts';
import { LateFrames } from '../../src/sim/late-frames.ts';

/** Puts `count` numbered frames into a lane at once and tells the order in which they come out, by when all is due. */
function pass(impairment: Partial<Impairment>, count: number): { at: number[]; order: number[]; lane: Lane } {
  const order: number[] = [];
  const late = new LateFrames();
  const faults = new FaultSource(3, 'pi', 'in', { ...PERFECT, ...impairment });
  const lane = new Lane(faults, late, (frame, length) => {
    assert.equal(length, 60);
    order.push(frame.readUInt32BE(0));
  });
  const frame = Buffer.alloc(2048);
  const at: number[] = [];
  for (let number = 0; number < count; number++) {
    frame.writeUInt32BE(number, 0);
    lane.put(frame, 60);
    at.push(order.length);
  }
  late.deliver(Number.POSITIVE_INFINITY);
  return { at, order, lane };
}

const numbers = (count: number) => Array.from({ length: count }, (_, number) => number);

test('without faults everything comes out at once and in order', () => {
  const { at, order } = pass({}, 100);
  assert.deepEqual(order, numbers(100));
  assert.deepEqual(
    at,
    numbers(100).map((number) => number + 1),
  );
});

test('lost frames do not come out, all others do', () => {
  const { order, lane } = pass({ lossPercent: 20 }, 1_000);
  assert.equal(order.length, 1_000 - lane.lost);
  assert.ok(lane.lost > 100);
  assert.equal(new Set(order).size, order.length);
});

test('doubled frames come out twice, one after the other', () => {
  const { order, lane } = pass({ duplicatePercent: 20 }, 1_000);
  assert.equal(order.length, 1_000 + lane.doubled);
  assert.deepEqual(
    [...order].sort((a, b) => a - b),
    order,
  );
});

test('a frame that is held back comes out after the next one', () => {
  const { order, lane } = pass({ reorderPercent: 10 }, 1_000);
  assert.deepEqual(
    [...order].sort((a, b) => a - b),
    numbers(1_000),
  );
  const behind = order.filter((number, index) => number < (order[index - 1] ?? -1));
  assert.ok(behind.length > 50 && behind.length <= lane.heldBack, `${behind.length} of ${lane.heldBack}`);
});

test('a delay keeps the order, a jitter does not', () => {
  assert.deepEqual(pass({ delayMs: 5 }, 200).order, numbers(200));
  const { at, order } = pass({ delayMs: 5, jitterMs: 20 }, 200);
  assert.equal(at.at(-1), 0, 'nothing before its time');
  assert.notDeepEqual(order, numbers(200));
  assert.deepEqual(
    [...order].sort((a, b) => a - b),
    numbers(200),
  );
});

test('whatever the order they are put in, late frames come out when they are due', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50), { maxLength: 60 }), (dues) => {
      const late = new LateFrames();
      const out: number[] = [];
      for (const due of dues) late.add(due, Buffer.from([due]), 1, (frame) => out.push(frame[0] as number));
      late.deliver(25);
      assert.deepEqual(
        out,
        dues.filter((due) => due <= 25).sort((a, b) => a - b),
      );
      late.deliver(50);
      assert.deepEqual(
        out,
        [...dues].sort((a, b) => a - b),
      );
      assert.equal(late.dueIn(0), Number.POSITIVE_INFINITY);
    }),
  );
});
