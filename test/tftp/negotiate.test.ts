import assert from 'node:assert/strict';
import { test } from 'node:test';
import { negotiate } from '../../src/tftp/negotiate.ts';

interface Case {
  asked: Record<string, string>;
  /** The OACK; absent means that there is none and DATA 1 answers. */
  oack?: Record<string, string>;
  blockSize?: number;
  timeoutMs?: number;
  windowSize?: number;
}

/** A file of 5000 bytes on an interface with MTU 1500. */
const cases: Record<string, Case> = {
  'nothing asked (Pi 3 ROM) (checklist 32)': { asked: {} },
  'tsize alone (Pi 3 start.elf) (checklist 30)': { asked: { tsize: '0' }, oack: { tsize: '5000' } },
  'tsize and blksize 1024 (Pi 4 of 2019) (checklist 30, 31)': {
    asked: { tsize: '0', blksize: '1024' },
    oack: { blksize: '1024', tsize: '5000' },
    blockSize: 1024,
  },
  'blksize 1468 (Pi 4 and 5)': { asked: { blksize: '1468' }, oack: { blksize: '1468' }, blockSize: 1468 },
  'blksize 8, the least': { asked: { blksize: '8' }, oack: { blksize: '8' }, blockSize: 8 },
  'blksize above the MTU': { asked: { blksize: '65464' }, oack: { blksize: '1468' }, blockSize: 1468 },
  'blksize 7': { asked: { blksize: '7' } },
  'blksize 65465': { asked: { blksize: '65465' } },
  'blksize -1': { asked: { blksize: '-1' } },
  'blksize in hex': { asked: { blksize: '0x200' } },
  'blksize empty': { asked: { blksize: '' } },
  'tsize no number': { asked: { tsize: 'x' } },
  'timeout 5 (U-Boot)': { asked: { timeout: '5' }, oack: { timeout: '5' }, timeoutMs: 5000 },
  'timeout 0': { asked: { timeout: '0' } },
  'timeout 10, the longest': { asked: { timeout: '10' }, oack: { timeout: '10' }, timeoutMs: 10_000 },
  'timeout 11 is ignored': { asked: { timeout: '11' } },
  'timeout 255 is ignored': { asked: { timeout: '255', tsize: '0' }, oack: { tsize: '5000' } },
  'unknown options are left out (checklist 32)': {
    asked: { multicast: '', utimeout: '1000', tsize: '0' },
    oack: { tsize: '5000' },
  },
  'windowsize 4': { asked: { windowsize: '4' }, oack: { windowsize: '4' }, windowSize: 4 },
  'windowsize 1': { asked: { windowsize: '1' }, oack: { windowsize: '1' }, windowSize: 1 },
  'windowsize above what is sent at once': {
    asked: { windowsize: '65535' },
    oack: { windowsize: '64' },
    windowSize: 64,
  },
  'windowsize 0': { asked: { windowsize: '0' } },
  'windowsize 65536': { asked: { windowsize: '65536' } },
  'unknown options alone': { asked: { foo: '1' } },
};

for (const [name, { asked, oack, blockSize = 512, timeoutMs = 1000, windowSize = 1 }] of Object.entries(
  cases,
)) {
  test(name, () => {
    const terms = negotiate(new Map(Object.entries(asked)), 5000, 1468);
    assert.deepEqual(terms.accepted && Object.fromEntries(terms.accepted), oack);
    assert.equal(terms.blockSize, blockSize);
    assert.equal(terms.timeoutMs, timeoutMs);
    assert.equal(terms.windowSize, windowSize);
  });
}

test('a window of large blocks is no larger a burst', () => {
  const asked = new Map([
    ['blksize', '65464'],
    ['windowsize', '64'],
  ]);
  assert.equal(negotiate(asked, 1, 65_504).windowSize, 2);
});

test('a smaller MTU makes smaller blocks', () => {
  assert.equal(negotiate(new Map([['blksize', '1468']]), 1, 1280 - 32).blockSize, 1248);
});
