import assert from 'node:assert/strict';
import { it } from 'node:test';
import { formatBytes, formatTable } from '../../src/cli/table.ts';

it('aligns columns under their heading and shows what is absent as a dash', () => {
  const text = formatTable(
    ['NAME', 'N'],
    [
      ['a', 1],
      ['longer', undefined],
    ],
  );
  assert.equal(text, 'NAME    N\na       1\nlonger  -');
});

it('counts bytes as people read them', () => {
  const shown = [0, 999, 1000, 128_385_024, 5e12].map(formatBytes);
  assert.deepEqual(shown, ['0 B', '999 B', '1.0 kB', '128.4 MB', '5.0 TB']);
});
