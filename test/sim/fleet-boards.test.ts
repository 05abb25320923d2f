import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_MIX, fleetBoards, parseMix } from '../../src/sim/fleet-boards.ts';

test('the same seed makes the same Pis, another seed others', () => {
  assert.deepEqual(fleetBoards(1, 300, DEFAULT_MIX), fleetBoards(1, 300, DEFAULT_MIX));
  const serials = new Set(fleetBoards(1, 300, DEFAULT_MIX).map(({ board }) => board.serial));
  assert.equal(serials.size, 300);
  assert.ok(!fleetBoards(2, 300, DEFAULT_MIX).some(({ board }) => serials.has(board.serial)));
});

test('no two share the last three bytes of their MAC, by which a cable tells them apart', () => {
  const macs = new Set(fleetBoards(5, 4_000, DEFAULT_MIX).map(({ board }) => board.mac.slice(9)));
  assert.equal(macs.size, 4_000);
});

test('a mix is kept by every few Pis, so that a small fleet is mixed as well', () => {
  const fleet = fleetBoards(1, 12, parseMix('3b:1,4:2,5:3'));
  const expect = ['3b', '4', '4', '5', '5', '5'];
  assert.deepEqual(
    fleet.map(({ generation }) => generation),
    [...expect, ...expect],
  );
  assert.deepEqual(
    fleet.slice(0, 2).map(({ board }) => [board.variant, board.mac.slice(0, 8)]),
    [
      ['3b', 'b8:27:eb'],
      ['4b', 'dc:a6:32'],
    ],
  );
});

for (const mix of ['6', '4:0', '4:x', '4,,5', ''])
  test(`"${mix}" is no mix`, () => {
    assert.throws(() => parseMix(mix), /is no part of a mix.*3b:1,4:2,5:3.*3-card/s);
  });
