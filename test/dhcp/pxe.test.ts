import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodePxe, RASPBERRY_PI_BOOT, raspberryPiMenu } from '../../src/dhcp/pxe.ts';
import { hex } from './fixtures/discovers.ts';

test('option 43 for all models, the 3B ROM included, byte by byte (checklist 10, 11, 12)', () => {
  const captured = `06 01 03 0a 04 00 50 58 45 09 17 00 00 14
    52 61 73 70 62 65 72 72 79 20 50 69 20 42 6f 6f 74 20 20 20 ff`;
  assert.deepEqual(RASPBERRY_PI_BOOT, hex(captured));
  assert.equal(RASPBERRY_PI_BOOT.length, 35);
});

test('the same without the blanks, as dnsmasq sends it (checklist 12)', () => {
  const captured = `06 01 03 0a 04 00 50 58 45 09 14 00 00 11
    52 61 73 70 62 65 72 72 79 20 50 69 20 42 6f 6f 74 ff`;
  assert.deepEqual(raspberryPiMenu('Raspberry Pi Boot'), hex(captured));
});

test('a menu of two items is one sub-option', () => {
  const bytes = encodePxe([
    {
      kind: 'bootMenu',
      items: [
        { type: 0, text: 'a' },
        { type: 0x8001, text: 'bc' },
      ],
    },
  ]);
  assert.deepEqual(bytes, hex('09 09 0000 01 61 8001 02 6263 ff'));
});
