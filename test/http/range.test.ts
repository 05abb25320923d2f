import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { etagOf, partOf } from '../../src/http/range.ts';

const VERSION = 'abc';
const cases: Record<
  string,
  { range?: string; ifRange?: string; expect: [number, number] | 'whole' | 'none' }
> = {
  'no range': { expect: 'whole' },
  'the first bytes': { range: 'bytes=0-9', expect: [0, 10] },
  'one byte': { range: 'bytes=5-5', expect: [5, 6] },
  'from a byte on': { range: 'bytes=90-', expect: [90, 100] },
  'the last bytes': { range: 'bytes=-10', expect: [90, 100] },
  'more last bytes than there are': { range: 'bytes=-1000', expect: [0, 100] },
  'past the end': { range: 'bytes=90-1000', expect: [90, 100] },
  'wholly past the end': { range: 'bytes=100-', expect: 'none' },
  'no last bytes': { range: 'bytes=-0', expect: 'none' },
  'backwards, which is no range': { range: 'bytes=9-5', expect: 'whole' },
  'several ranges': { range: 'bytes=0-1,5-6', expect: 'whole' },
  'another unit': { range: 'lines=0-1', expect: 'whole' },
  nonsense: { range: 'bytes=-', expect: 'whole' },
  'a number too large to count with': { range: `bytes=${'9'.repeat(400)}-`, expect: 'whole' },
  'any case, and blanks': { range: ' Bytes= 5-6 ', expect: [5, 7] },
  'the same version': { range: 'bytes=5-6', ifRange: etagOf(VERSION), expect: [5, 7] },
  'another version': { range: 'bytes=5-6', ifRange: etagOf('def'), expect: 'whole' },
  'a weak version': { range: 'bytes=5-6', ifRange: `W/${etagOf(VERSION)}`, expect: 'whole' },
  'a date as version': { range: 'bytes=5-6', ifRange: 'Sat, 21 Nov 2026 00:00:00 GMT', expect: 'whole' },
};

for (const [given, { range, ifRange, expect }] of Object.entries(cases)) {
  test(given, () => {
    const part = partOf(100, { range, ifRange }, VERSION);
    const found = part === undefined ? 'none' : part.kind === 'whole' ? 'whole' : [part.start, part.end];
    assert.deepEqual(found, expect);
  });
}

test('without a version no range holds that depends on one', () => {
  assert.equal(partOf(100, { range: 'bytes=5-6', ifRange: '"abc"' }, undefined)?.kind, 'whole');
});

test('whatever is asked, the part lies within the file and is not empty', () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.string({ maxLength: 40 }), fc.boolean(), (size, text, isBytes) => {
      const part = partOf(size, { range: isBytes ? `bytes=${text}` : text }, VERSION);
      if (part?.kind !== 'part') return;
      assert.ok(part.start >= 0 && part.start < part.end && part.end <= size);
    }),
  );
});
