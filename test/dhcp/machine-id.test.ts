import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeMachineId } from '../../src/dhcp/machine-id.ts';
import { hex } from './fixtures/discovers.ts';

const CASES = [
  {
    name: 'Pi 4, "RPi4"',
    given: '00 52506934 1431d000 32b023c3 d80092e0',
    expect: { kind: 'board', boardRevision: 0xd03114, macTail: '32:b0:23:c3', serial: 'e09200d8' },
  },
  {
    name: 'Pi 4, "4iPR", October 2021',
    given: '00 34695052 1431d000 010902f7 3df0cd91',
    expect: { kind: 'board', boardRevision: 0xd03114, macTail: '01:09:02:f7', serial: '91cdf03d' },
  },
  {
    name: 'CM4, "4iPR"',
    given: '00 34695052 4131a000 01f8deb9 60000010',
    expect: { kind: 'board', boardRevision: 0xa03141, macTail: '01:f8:de:b9', serial: '10000060' },
  },
  {
    name: 'Pi 5, "5iPR"',
    given: '00 35695052 7041c000 67102030 e19a98bd',
    expect: { kind: 'board', boardRevision: 0xc04170, macTail: '67:10:20:30', serial: 'bd989ae1' },
  },
  {
    name: 'Pi 5, "RPi5"',
    given: '00 52506935 7041c000 67102030 e19a98bd',
    expect: { kind: 'board', boardRevision: 0xc04170, macTail: '67:10:20:30', serial: 'bd989ae1' },
  },
  {
    name: 'EEPROM of 2020-03-04, no MAC',
    given: '00 52506934 1431d000 00000000 d80092e0',
    expect: { kind: 'board', boardRevision: 0xd03114, serial: 'e09200d8' },
  },
  {
    name: 'Pi 3, serial four times',
    given: `00 ${'2e2a5ee7'.repeat(4)}`,
    expect: { kind: 'serial', serial: 'e75e2a2e' },
  },
  {
    name: 'a serial with leading zeros',
    given: `00 ${'01000000'.repeat(4)}`,
    expect: { kind: 'serial', serial: '00000001' },
  },
  { name: '3B mask ROM', given: `00 ${'44'.repeat(16)}`, expect: { kind: 'pi3-rom' } },
  { name: 'a PC', given: '00 4c4c4544 00513710 8033b7c0 4f4d3132', expect: { kind: 'other' } },
  { name: 'EDK2 on a Pi', given: '00 1431d000 00000000 0000dca6 3201 36c2', expect: { kind: 'other' } },
  { name: 'a mainboard without UUID', given: `00 ${'00'.repeat(16)}`, expect: { kind: 'other' } },
  { name: 'another mainboard without UUID', given: `00 ${'ff'.repeat(16)}`, expect: { kind: 'other' } },
  {
    name: 'a magic with no serial',
    given: '00 52506934 1431d000 32b023c3 00000000',
    expect: { kind: 'other' },
  },
  { name: 'another identifier type', given: `01 ${'2e2a5ee7'.repeat(4)}`, expect: { kind: 'other' } },
  { name: 'a byte short', given: `00 ${'44'.repeat(15)}`, expect: { kind: 'other' } },
  { name: 'a byte long', given: `00 ${'44'.repeat(17)}`, expect: { kind: 'other' } },
  { name: 'nothing', given: '', expect: { kind: 'other' } },
];

for (const { name, given, expect } of CASES) {
  test(`${name} (checklist 3)`, () => assert.deepEqual(decodeMachineId(hex(given)), expect));
}
