import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fnv1a } from '../../src/net/fnv1a.ts';

test('the vectors of the authors', () => {
  assert.deepEqual(
    ['', 'a', 'foobar'].map((text) => fnv1a(text)),
    [0x811c9dc5, 0xe40c292c, 0xbf9cf968],
  );
});
