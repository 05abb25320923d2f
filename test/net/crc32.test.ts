import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 as zlibs } from 'node:zlib';
import fc from 'fast-check';
import { crc32 } from '../../src/net/crc32.ts';

test('counts as zlib does', () => {
  assert.equal(crc32(Buffer.from('123456789')), 0xcbf43926);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => crc32(bytes) === zlibs(bytes)));
});
