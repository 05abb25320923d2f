import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fixtures, fuzz, probe, TARGETS } from './parsers.ts';

const MILLISECONDS = 250;

describe('any bytes are read, or refused as their reader says', () => {
  const seed = Number(process.env.NETBOOT_TEST_SEED ?? Date.now() % 2 ** 31);
  for (const target of TARGETS) {
    it(`${target.name}: every seed, whole and cut at every length`, () => {
      for (const whole of target.seeds) {
        const step = Math.ceil(whole.length / 400);
        for (let length = 0; length <= whole.length; length += step)
          assert.equal(probe(target, whole.subarray(0, length)), undefined);
        assert.equal(probe(target, whole), undefined);
      }
    });

    it(`${target.name}: mutants of them, NETBOOT_TEST_SEED=${seed}`, (t) => {
      const { count, finding } = fuzz(target, seed, performance.now() + MILLISECONDS);
      t.diagnostic(`${count} inputs`);
      const hex = Buffer.from(finding?.input ?? []).toString('hex');
      assert.equal(
        finding,
        undefined,
        `after ${count} inputs, by ${hex}: ${(finding?.error as Error)?.stack}`,
      );
    });
  }
});

describe('what once broke something breaks nothing any more', () => {
  for (const { target: name, name: fixture, input } of fixtures()) {
    const target = TARGETS.find((each) => each.name === name);
    if (target) it(`${name}/${fixture}`, () => assert.equal(probe(target, input), undefined));
  }
});
