import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '../../src/net/bytes.ts';
import { decodePacket, encodeDataHeader, encodePacket, type TftpPacket } from '../../src/tftp/packet.ts';

const ascii = (text: string) => Uint8Array.from(Buffer.from(text, 'latin1'));
const plain = (bytes: Uint8Array) => Uint8Array.from(bytes);

/** Packets as the captures of the protocol reference have them. */
const vectors: Record<string, { bytes: string; packet: TftpPacket }> = {
  'Pi 3 ROM request, no options': {
    bytes: '\0\x01bootcode.bin\0octet\0',
    packet: { kind: 'rrq', filename: 'bootcode.bin', mode: 'octet', options: new Map() },
  },
  'Pi 4 EEPROM request': {
    bytes: '\0\x019ffefdef/start4.elf\0octet\0tsize\x000\0blksize\x001024\0',
    packet: {
      kind: 'rrq',
      filename: '9ffefdef/start4.elf',
      mode: 'octet',
      options: new Map([
        ['tsize', '0'],
        ['blksize', '1024'],
      ]),
    },
  },
  'write request': {
    bytes: '\0\x02x\0netascii\0',
    packet: { kind: 'wrq', filename: 'x', mode: 'netascii', options: new Map() },
  },
  'last, empty data block': {
    bytes: '\0\x03\xff\xff',
    packet: { kind: 'data', block: 65535, data: new Uint8Array(0) },
  },
  acknowledgement: { bytes: '\0\x04\x01\x02', packet: { kind: 'ack', block: 0x102 } },
  'early terminate': {
    bytes: '\0\x05\0\0Early terminate\0',
    packet: { kind: 'error', code: 0, message: 'Early terminate' },
  },
  OACK: {
    bytes: '\0\x06tsize\x0052\0blksize\x001468\0',
    packet: {
      kind: 'oack',
      options: new Map([
        ['tsize', '52'],
        ['blksize', '1468'],
      ]),
    },
  },
};

for (const [name, { bytes, packet }] of Object.entries(vectors)) {
  test(`${name} is decoded and encoded`, () => {
    assert.deepEqual(decodePacket(ascii(bytes)), packet);
    assert.deepEqual(plain(encodePacket(packet)), ascii(bytes));
  });
}

const tolerated: Record<string, { bytes: string; packet: TftpPacket }> = {
  'mode and option names in any case': {
    bytes: '\0\x01x\0OcTet\0BLKSIZE\x008\0',
    packet: { kind: 'rrq', filename: 'x', mode: 'octet', options: new Map([['blksize', '8']]) },
  },
  'an option given twice: the first counts': {
    bytes: '\0\x01x\0octet\0tsize\x000\0tsize\x009\0',
    packet: { kind: 'rrq', filename: 'x', mode: 'octet', options: new Map([['tsize', '0']]) },
  },
  'NULs after the last option': {
    bytes: '\0\x01x\0octet\0tsize\x000\0\0\0\0',
    packet: { kind: 'rrq', filename: 'x', mode: 'octet', options: new Map([['tsize', '0']]) },
  },
  'an error without text': { bytes: '\0\x05\0\x08', packet: { kind: 'error', code: 8, message: '' } },
  'an error without NUL': { bytes: '\0\x05\0\0no', packet: { kind: 'error', code: 0, message: 'no' } },
};

for (const [name, { bytes, packet }] of Object.entries(tolerated)) {
  test(`tolerated: ${name}`, () => assert.deepEqual(decodePacket(ascii(bytes)), packet));
}

const hostile: Record<string, string> = {
  nothing: '',
  'one byte': '\0',
  'unknown opcode': '\0\x07x\0octet\0',
  'opcode 0': '\0\0x\0octet\0',
  'a request cut off in the name': '\0\x01boot',
  'a request without mode': '\0\x01boot\0',
  'a request cut off in the mode': '\0\x01boot\0oct',
  'an option without value': '\0\x01boot\0octet\0tsize\0',
  'an option cut off': '\0\x01boot\0octet\0tsize\x00',
  'data without block': '\0\x03\0',
  'an ACK without block': '\0\x04',
  'an OACK cut off': '\0\x06tsize\x001',
};

for (const [name, bytes] of Object.entries(hostile)) {
  test(`refused: ${name}`, () => assert.throws(() => decodePacket(ascii(bytes)), WireError));
}

test('text that cannot be sent is a mistake of the caller; an error message is made sendable', () => {
  const rrq = (filename: string): TftpPacket => ({
    kind: 'rrq',
    filename,
    mode: 'octet',
    options: new Map(),
  });
  assert.throws(() => encodePacket(rrq('a\0b')), RangeError);
  assert.throws(() => encodePacket(rrq('Ā')), RangeError);
  assert.deepEqual(decodePacket(encodePacket({ kind: 'error', code: 1, message: 'no “x”\0' })), {
    kind: 'error',
    code: 1,
    message: 'no ?x??',
  });
});

test('a data header is the start of a data packet', () => {
  const whole = encodePacket({ kind: 'data', block: 700, data: ascii('abc') });
  assert.deepEqual(plain(whole.subarray(0, 4)), plain(encodeDataHeader(700)));
});

test('property: any bytes are a packet or a WireError', () => {
  const opcode = fc.constantFrom('\0\x01', '\0\x02', '\0\x03', '\0\x04', '\0\x05', '\0\x06', '');
  fc.assert(
    fc.property(opcode, fc.uint8Array({ maxLength: 600 }), (start, rest) => {
      try {
        decodePacket(Buffer.concat([ascii(start), rest]));
      } catch (error) {
        assert.ok(error instanceof WireError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

test('property: what is encoded is decoded again', () => {
  const latin1 = fc
    .array(fc.integer({ min: 1, max: 255 }), { maxLength: 40 })
    .map((codes) => String.fromCharCode(...codes));
  const options = fc
    .array(fc.tuple(fc.stringMatching(/^[a-z]{1,12}$/), latin1), { maxLength: 6 })
    .map((pairs) => new Map(pairs));
  const block = fc.integer({ min: 0, max: 65535 });
  const packet: fc.Arbitrary<TftpPacket> = fc.oneof(
    fc.record({
      kind: fc.constantFrom('rrq' as const, 'wrq' as const),
      filename: latin1,
      mode: fc.constantFrom('octet', 'netascii', 'mail'),
      options,
    }),
    fc.record({ kind: fc.constant('data' as const), block, data: fc.uint8Array({ maxLength: 1468 }) }),
    fc.record({ kind: fc.constant('ack' as const), block }),
    fc.record({
      kind: fc.constant('error' as const),
      code: block,
      message: fc.string({ unit: 'grapheme-ascii' }),
    }),
    fc.record({ kind: fc.constant('oack' as const), options }),
  );
  fc.assert(
    fc.property(packet, (given) => {
      const decoded = decodePacket(plain(encodePacket(given)));
      assert.deepEqual({ ...decoded }, { ...given });
    }),
  );
});
