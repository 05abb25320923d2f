import assert from 'node:assert/strict';
import { test } from 'node:test';
import { longFileWarning } from '../../src/tftp/long-file.ts';

const LAST = 65_535;
interface Case {
  readonly size: number;
  readonly asked?: string;
  readonly blockSize: number;
  readonly expect: RegExp | undefined;
}

const cases: Record<string, Case> = {
  'no option, one byte less than 65535 blocks': { size: LAST * 512 - 1, blockSize: 512, expect: undefined },
  'no option, 65535 blocks and the empty one': { size: LAST * 512, blockSize: 512, expect: /512 bytes/ },
  'what an EEPROM asks for': {
    size: LAST * 1468,
    asked: '1468',
    blockSize: 1468,
    expect: /before 2025-09-23/,
  },
  'the same, just short enough': { size: LAST * 1468 - 1, asked: '1468', blockSize: 1468, expect: undefined },
  'the same on a smaller MTU': { size: LAST * 1368, asked: '1468', blockSize: 1368, expect: /1368 bytes/ },
  'blocks that no firmware asks for': { size: LAST * 64, asked: '8', blockSize: 8, expect: undefined },
  'an option that is no number': { size: LAST * 1024, asked: 'x', blockSize: 512, expect: undefined },
};
for (const [name, { size, asked, blockSize, expect }] of Object.entries(cases)) {
  test(`a long file: ${name}`, () => {
    const warning = longFileWarning(size, asked, blockSize);
    if (expect) assert.match(warning ?? '', expect);
    else assert.equal(warning, undefined);
  });
}
