import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMac } from '../../src/net/mac.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { boardOf, constantGuid, eepromGuid, factoryMac, serialGuid } from '../../src/sim/board.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

test('a Pi 3 has the low 24 bits of its serial in its MAC (raspberrypi/firmware#1605)', () => {
  assert.equal(factoryMac('pi3', parseSerial('b66c4c16')), 'b8:27:eb:6c:4c:16');
});

test('a later Pi always has the same MAC, of its maker’s range', () => {
  assert.match(factoryMac('pi4', parseSerial('9ffefdef')), /^dc:a6:32:/);
  assert.equal(factoryMac('pi4', parseSerial('9ffefdef')), factoryMac('pi4', parseSerial('9ffefdef')));
  assert.notEqual(factoryMac('pi4', parseSerial('9ffefdef')), factoryMac('pi4', parseSerial('9ffefdee')));
  assert.match(factoryMac('pi5', parseSerial('0c8f7e5cbd989ae1')), /^2c:cf:67:/);
});

test('option 97 of a captured Pi 4: revision d03114, MAC dc:a6:32:b0:23:c3, serial e09200d8', () => {
  const mac = parseMac('dc:a6:32:b0:23:c3');
  assert.ok(mac);
  const board = { ...boardOf({ model: 'pi4', serial: parseSerial('e09200d8'), mac }), revision: 0xd03114 };
  assert.equal(hex(eepromGuid(board)), '00525069341431d00032b023c3d80092e0');
});

test('option 97 of a Pi 5 starts with RPi5, of a Pi 3 it is the serial four times, of the 3B’s ROM always the same', () => {
  assert.equal(
    hex(eepromGuid(boardOf({ model: 'pi5', serial: parseSerial('bd989ae1') })).subarray(0, 5)),
    '0052506935',
  );
  assert.equal(
    hex(serialGuid(boardOf({ model: 'pi3', serial: parseSerial('e75e2a2e') }))),
    `00${'2e2a5ee7'.repeat(4)}`,
  );
  assert.equal(hex(constantGuid()), `00${'44'.repeat(16)}`);
});
