import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeMessage } from '../../src/dhcp/packet.ts';
import { WireError } from '../../src/net/bytes.ts';
import { FrameReader } from '../../src/net/frame.ts';
import { decodeDump, encodeDump } from './attack.ts';
import { DHCP_REQUESTS, TFTP_REQUESTS } from './corpus.ts';
import { growth } from './judge.ts';
import { mutate } from './mutate.ts';
import { Random } from './random.ts';
import { mutateOptions, mutateTexts } from './structure.ts';
import { writeForged } from './udp-frame.ts';

function mutants(seed: number, make: (random: Random) => Uint8Array): string[] {
  const random = new Random(seed);
  return Array.from({ length: 500 }, () => Buffer.from(make(random)).toString('hex'));
}

const byBytes = (random: Random) => mutate(random.pick(DHCP_REQUESTS), random, DHCP_REQUESTS);
const byOptions = (random: Random) => mutateOptions(random.pick(DHCP_REQUESTS), random, DHCP_REQUESTS);
const byTexts = (random: Random) => mutateTexts(random.pick(TFTP_REQUESTS), random);

test('the same seed makes the same mutants, another one others', () => {
  for (const make of [byBytes, byOptions, byTexts]) {
    assert.deepEqual(mutants(7, make), mutants(7, make));
    assert.notDeepEqual(mutants(7, make), mutants(8, make));
    assert.ok(new Set(mutants(7, make)).size > 400);
  }
});

test('mutants reach what lies behind the parser, and the parser’s own refusals', () => {
  const isRead = (hex: string): boolean => {
    try {
      decodeMessage(Buffer.from(hex, 'hex'));
      return true;
    } catch (error) {
      assert.ok(error instanceof WireError);
      return false;
    }
  };
  assert.ok(mutants(1, byOptions).filter(isRead).length > 400);
  const read = mutants(1, byBytes).filter(isRead).length;
  assert.ok(read > 100 && read < 450, `${read} of 500`);
});

test('a forged frame is a datagram like any other', () => {
  const frame = Buffer.alloc(2048);
  const path = {
    ...{ sourceMac: new Uint8Array(6), destinationMac: new Uint8Array(6).fill(255) },
    ...{ source: 0xc0a8acc8, destination: 0xffffffff, sourcePort: 68, destinationPort: 67 },
  };
  const reader = new FrameReader();
  for (const payload of [new Uint8Array(), Uint8Array.of(1, 2, 3), new Uint8Array(1472).fill(9)]) {
    const length = writeForged(frame, path, payload);
    assert.equal(reader.read(frame, length), 'udp');
    const read = frame.subarray(reader.payloadStart, reader.payloadStart + reader.payloadLength);
    assert.deepEqual(Uint8Array.from(read), payload);
    assert.deepEqual(
      [reader.source, reader.destination, reader.sourcePort, reader.destinationPort],
      [0xc0a8acc8, 0xffffffff, 68, 67],
    );
  }
});

test('the packets before a crash come back from their file', () => {
  const packets = [
    { port: 67, payload: Buffer.from('abc') },
    { port: 4011, payload: Buffer.alloc(0) },
    { port: 69, payload: Buffer.alloc(1400, 'x') },
  ];
  assert.deepEqual(decodeDump(Buffer.from(encodeDump(packets))), packets);
});

test('memory that goes up and down is flat, memory that only goes up is not', () => {
  const mebi = 2 ** 20;
  assert.equal(Math.round(growth(Array.from({ length: 90 }, (_, at) => (200 + (at % 7)) * mebi))), 0);
  assert.equal(Math.round(growth(Array.from({ length: 90 }, (_, at) => (200 + at) * mebi))), 30);
});
