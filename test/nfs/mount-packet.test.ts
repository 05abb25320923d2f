import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WireError } from '../../src/net/bytes.ts';
import { isListening } from '../../src/nfs/listening.ts';
import { decodeExportReply, encodeExportCall, joinFragments } from '../../src/nfs/mount-packet.ts';

const words = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value, index * 4);
  return bytes;
};
const text = (value: string): Buffer =>
  Buffer.concat([words(value.length), Buffer.from(value), Buffer.alloc((4 - (value.length % 4)) % 4)]);
const accepted = words(5, 1, 0, 0, 0, 0);
const reply = Buffer.concat([
  accepted,
  words(1),
  text('/exports/www'),
  words(1),
  text('10.0.0.0/8'),
  words(1),
  text('h'),
  words(0),
  words(1),
  text('/a'),
  words(0),
  words(0),
]);

test('the call is one record of ten words: RPC 2, MOUNT 3, procedure EXPORT', () => {
  assert.equal(
    Buffer.from(encodeExportCall(5)).toString('hex'),
    '80000028' +
      '00000005' +
      '00000000' +
      '00000002' +
      '000186a5' +
      '00000003' +
      '00000005' +
      '00000000'.repeat(4),
  );
});

test('reads exports and their clients', () => {
  assert.deepEqual(decodeExportReply(reply, 5), [
    { path: '/exports/www', clients: ['10.0.0.0/8', 'h'] },
    { path: '/a', clients: [] },
  ]);
});

const bad: Record<string, Buffer> = {
  'another xid': Buffer.concat([words(6), reply.subarray(4)]),
  'a call': Buffer.concat([words(5, 0), reply.subarray(8)]),
  'a denial': Buffer.concat([words(5, 1, 1), reply.subarray(12)]),
  PROG_UNAVAIL: words(5, 1, 0, 0, 0, 1),
  'a path longer than the reply': Buffer.concat([accepted, words(1, 0xffffffff)]),
};
for (const [name, bytes] of Object.entries(bad)) {
  test(`refuses ${name}`, () => assert.throws(() => decodeExportReply(bytes, 5), WireError));
}

test('any bytes are an answer or a WireError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (tail) => {
      try {
        decodeExportReply(Buffer.concat([accepted, tail]), 5);
      } catch (error) {
        assert.ok(error instanceof WireError, String(error));
      }
    }),
  );
});

test('a record in fragments is put together, an unfinished one is awaited, a huge one refused', () => {
  const parts = Buffer.concat([words(3), Buffer.from('abc'), words(0x80000002), Buffer.from('de')]);
  assert.equal(Buffer.from(joinFragments(parts) ?? []).toString(), 'abcde');
  for (let length = 0; length < parts.length; length++)
    assert.equal(joinFragments(parts.subarray(0, length)), undefined);
  assert.throws(() => joinFragments(words(0xffffffff)), WireError);
});

test('finds listeners in /proc/net/tcp6 and tells them from connections', () => {
  const table = [
    '  sl  local_address                         remote_address                        st tx_queue rx_queue',
    '   0: 00000000000000000000000000000000:0801 00000000000000000000000000000000:0000 0A 00000000:00000000',
    '   1: 00000000000000000000000000000000:006F 0000000000000000FFFF00000100007F:0801 01 00000000:00000000',
  ].join('\n');
  assert.deepEqual(
    [2049, 111, 0x80].map((port) => isListening(table, port)),
    [true, false, false],
  );
});
