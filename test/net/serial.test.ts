import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { matchSerial, parseSerial, SerialError } from '../../src/net/serial.ts';

describe('a serial number as people paste it', () => {
  const accepted: Record<string, string> = {
    '9ffefdef': '9ffefdef',
    '9FFEFDEF': '9ffefdef',
    '0x9ffefdef': '9ffefdef',
    '0X9FFEFDEF': '9ffefdef',
    '100000009ffefdef': '9ffefdef',
    '0c8f7e5cbd989ae1': 'bd989ae1', // a Pi 5: its high word is arbitrary (rpi-eeprom#563)
    '00000000b66c4c16': 'b66c4c16',
    'Serial\t\t: 100000009ffefdef': '9ffefdef', // the line of /proc/cpuinfo
    '  9ffefdef\n': '9ffefdef',
    '100000009ffefdef\0': '9ffefdef', // device-tree/serial-number
    '0000001a': '0000001a',
  };
  for (const [pasted, serial] of Object.entries(accepted)) {
    it(`takes ${JSON.stringify(pasted)}`, () => assert.equal(parseSerial(pasted), serial));
  }

  const refused: Record<string, RegExp> = {
    '': /empty.*for example/,
    '9ffefde': /7 hexadecimal digits, not 8 or 16.*for example/,
    '9ffefdef0': /9 hexadecimal digits/,
    '9ffefdeg': /"g" is not a hexadecimal digit.*for example/,
    'dc:a6:32:01:36:c2': /":" is not a hexadecimal digit/,
    '00000000': /low 32 bits are zero/,
    '../../etc': /is not a hexadecimal digit/,
  };
  for (const [pasted, reason] of Object.entries(refused)) {
    it(`refuses ${JSON.stringify(pasted)} and says why`, () => {
      assert.throws(
        () => parseSerial(pasted),
        (error: unknown) => error instanceof SerialError && reason.test(error.message),
      );
    });
  }

  it('gives eight digits or a reason for any text whatever', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          assert.ok(matchSerial(parseSerial(text)));
        } catch (error) {
          assert.ok(error instanceof SerialError);
        }
      }),
    );
  });
});
