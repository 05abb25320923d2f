import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tokens } from '../../src/fleet/tokens.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { GENERATION } from '../reports/world.ts';

const NODE = { serial: parseSerial('9ffefdef'), name: 'first', image: 'web' };
const ADDRESS = '10.0.0.21' as Ipv4;
const SINCE = 1_763_776_800_000;

test('the words are those of node, address and boot, the same at every reading and in every run', async () => {
  const store = new MemoryStore();
  const tokens = await Tokens.open(store, 8064);
  const words = tokens.wordsFor(NODE, GENERATION, ADDRESS, SINCE);
  assert.equal(words.length, 1);
  assert.match(words[0] ?? '', /^netboot\.token=mi9n60w0\.[\w-]{22}$/);
  const again = await Tokens.open(store, 8064);
  assert.deepEqual(again.wordsFor(NODE, GENERATION, ADDRESS, SINCE), words);
  const others = [
    again.wordsFor({ ...NODE, serial: parseSerial('9ffefdee') }, GENERATION, ADDRESS, SINCE),
    again.wordsFor(NODE, GENERATION, '10.0.0.22' as Ipv4, SINCE),
    again.wordsFor(NODE, GENERATION, ADDRESS, SINCE + 1),
    (await Tokens.open(new MemoryStore(), 8064)).wordsFor(NODE, GENERATION, ADDRESS, SINCE),
  ];
  assert.equal(new Set([words, ...others].map(([word]) => word?.split('.').at(-1))).size, 5);
});

test('another port is told, and nothing to a generation that reports to nobody', async () => {
  const tokens = await Tokens.open(new MemoryStore(), 9000);
  const [, port] = tokens.wordsFor(NODE, GENERATION, ADDRESS, SINCE);
  assert.equal(port, 'netboot.port=9000');
  const { provides: _, ...older } = GENERATION;
  assert.deepEqual(tokens.wordsFor(NODE, older, ADDRESS, SINCE), []);
  assert.deepEqual(tokens.wordsFor(NODE, { ...older, provides: ['root-modes'] }, ADDRESS, SINCE), []);
});
