import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { cleanMappings } from '../../src/host/program-pages.ts';

const MAPPING = (range: string, modes: string, path: string, dirty: number) =>
  [
    `${range} ${modes} 00000000 fe:00 123                        ${path}`,
    'Size:                  4 kB',
    'Rss:                   4 kB',
    `Private_Dirty:         ${dirty} kB`,
    `Anonymous:             ${dirty} kB`,
    'Swap:                  0 kB',
    'VmFlags: rd mr mw me',
    '',
  ].join('\n');

test('finds what the program’s file has all of, and nothing that was written to', () => {
  const smaps = [
    MAPPING('00400000-00746000', 'r--p', '/opt/node', 0),
    MAPPING('00746000-03040000', 'r-xp', '/opt/node', 0),
    MAPPING('03040000-03041000', 'rw-p', '/opt/node', 0),
    MAPPING('03041000-03042000', 'r--p', '/opt/node', 4), // relocated
    MAPPING('03042000-03043000', 'r-xp', '/usr/lib/libc.so.6', 0),
    MAPPING('7f0000000000-7f0000001000', 'rw-p', '', 4),
  ].join('');
  assert.deepEqual(cleanMappings(smaps, '/opt/node'), [
    { address: 0x400000n, length: 0x346000 },
    { address: 0x746000n, length: 0x28fa000 },
  ]);
  assert.deepEqual(cleanMappings(smaps, '/opt/nod'), []);
});

test('finds the code of the program that runs', () => {
  const found = cleanMappings(readFileSync('/proc/self/smaps', 'latin1'), process.execPath);
  assert.ok(found.reduce((sum, { length }) => sum + length, 0) > 20e6);
});
