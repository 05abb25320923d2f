import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIpv4 } from '../../src/net/ipv4.ts';
import { parseMac } from '../../src/net/mac.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { boardOf } from '../../src/sim/board.ts';
import {
  bootcodePersonality,
  eepromPersonality,
  encodeDiscover,
  encodeRequest,
  romPersonality,
} from '../../src/sim/dhcp-personality.ts';
import { expectedDiscover } from './discover-vectors.ts';

const serial = parseSerial('9ffefdef');
const pi3 = boardOf({ model: 'pi3', serial });
const pi3b = boardOf({ model: 'pi3', serial, rom: '3b' });
const mac4 = parseMac('dc:a6:32:01:36:c2');
assert.ok(mac4);
const pi4 = boardOf({ model: 'pi4', serial, mac: mac4 });
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

const cases = [
  {
    name: '3B ROM: 320 bytes, constant GUID, 12 parameters',
    sent: encodeDiscover(romPersonality(pi3b)),
    length: 320,
    expected: expectedDiscover.rom3b,
  },
  {
    name: '3B+ ROM: 322 bytes, serial GUID, 14 parameters',
    sent: encodeDiscover(romPersonality(pi3)),
    length: 322,
    expected: expectedDiscover.bootcode,
  },
  {
    name: 'bootcode.bin on a 3B speaks as the 3B+ ROM does',
    sent: encodeDiscover(bootcodePersonality(pi3b)),
    length: 322,
    expected: expectedDiscover.bootcode,
  },
  {
    name: 'Pi 4: 322 bytes, RPi4 GUID, other parameter order',
    sent: encodeDiscover(eepromPersonality(pi4, 0x12345678)),
    length: 322,
    expected: expectedDiscover.pi4,
  },
];

for (const { name, sent, length, expected } of cases) {
  test(`DISCOVER of the ${name}`, () => {
    assert.equal(sent.length, length);
    assert.equal(hex(sent), expected);
  });
}

test('REQUEST of a Pi 4 has the vendor class and no parameter request list', () => {
  const address = parseIpv4('192.168.172.100');
  const server = parseIpv4('192.168.172.17');
  assert.ok(address && server);
  const options = hex(encodeRequest(eepromPersonality(pi4, 1), address, server)).slice(240 * 2);
  assert.ok(options.startsWith('350103' + '3204c0a8ac64' + '3604c0a8ac11' + '5d020000'), options);
  assert.ok(options.includes(Buffer.from('PXEClient:Arch:00000:UNDI:002001').toString('hex')));
});
