import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  ARP_REPLY,
  BROADCAST_MAC,
  FrameReader,
  UDP_PAYLOAD,
  UdpWriter,
  writeArp,
} from '../../src/net/frame.ts';
import { type Ipv4, ipv4ToNumber } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';

const PI = 'dc:a6:32:01:36:c2' as Mac;
const path = {
  sourceMac: PI,
  destinationMac: BROADCAST_MAC,
  source: '10.0.0.50' as Ipv4,
  destination: '10.0.0.1' as Ipv4,
  sourcePort: 40_000,
  destinationPort: 69,
};

/** As a receiver checks it: the sum over everything, its checksum included, is all ones. */
function sum(bytes: Uint8Array): number {
  let total = 0;
  for (let at = 0; at < bytes.length; at += 2) total += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

test('a datagram that is written reads back, with both checksums right', () => {
  const frame = Buffer.alloc(2048, 0xee);
  const reader = new FrameReader();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1472 }), (payload) => {
      const length = new UdpWriter(path).write(frame, payload);
      assert.equal(length, UDP_PAYLOAD + payload.length);
      assert.equal(reader.read(frame, length), 'udp');
      assert.equal(reader.source, ipv4ToNumber(path.source));
      assert.equal(reader.destination, ipv4ToNumber(path.destination));
      assert.deepEqual([reader.sourcePort, reader.destinationPort], [40_000, 69]);
      const read = frame.subarray(reader.payloadStart, reader.payloadStart + reader.payloadLength);
      assert.deepEqual(Uint8Array.from(read), payload);
      assert.equal(sum(frame.subarray(14, 34)), 0xffff);
      const pseudo = Buffer.from([0, 17, 0, 0]);
      pseudo.writeUInt16BE(8 + payload.length, 2);
      assert.equal(sum(Buffer.concat([frame.subarray(26, 34), pseudo, frame.subarray(34, length)])), 0xffff);
    }),
  );
});

test('a Pi 3 sends no UDP checksum', () => {
  const frame = Buffer.alloc(100, 0xee);
  new UdpWriter({ ...path, checksum: false, ttl: 128 }).write(frame, Buffer.from('x'));
  assert.equal(frame.readUInt16BE(40), 0);
  assert.equal(frame[22], 128);
});

test('an ARP reply, byte by byte', () => {
  const frame = Buffer.alloc(60, 0xee);
  const server = '02:4e:42:00:00:01' as Mac;
  const length = writeArp(frame, {
    operation: ARP_REPLY,
    senderMac: PI,
    sender: '10.0.0.50' as Ipv4,
    destinationMac: server,
    target: '10.0.0.1' as Ipv4,
  });
  assert.equal(
    frame.subarray(0, length).toString('hex'),
    '024e42000001dca6320136c208060001080006040002dca6320136c20a000032024e420000010a000001',
  );
  const reader = new FrameReader();
  assert.equal(reader.read(frame, length), 'arp');
  assert.deepEqual([reader.source, reader.destination], [0x0a000032, 0x0a000001]);
});

const udpFrame = Buffer.alloc(64);
const udpLength = new UdpWriter(path).write(udpFrame, Buffer.from('payload'));
const changed = (at: number, ...bytes: number[]) => {
  const frame = Buffer.from(udpFrame);
  frame.set(bytes, at);
  return frame;
};
for (const { name, frame, length = udpLength } of [
  { name: 'cut off in the Ethernet header', frame: udpFrame, length: 13 },
  { name: 'cut off in the payload', frame: udpFrame, length: udpLength - 1 },
  { name: 'shorter than it says it is', frame: udpFrame.subarray(0, 20) },
  { name: 'IPv4 header of 16 bytes', frame: changed(14, 0x44) },
  { name: 'IP version 6 in an IPv4 frame', frame: changed(14, 0x65) },
  { name: 'total length beyond the frame', frame: changed(16, 0xff, 0xff) },
  { name: 'total length without room for UDP', frame: changed(16, 0, 27) },
  { name: 'a fragment', frame: changed(20, 0x20, 0x00) },
  { name: 'TCP', frame: changed(23, 6) },
  { name: 'UDP length beyond the datagram', frame: changed(38, 0, 200) },
  { name: 'UDP length below its header', frame: changed(38, 0, 7) },
  { name: 'IPv6', frame: changed(12, 0x86, 0xdd) },
])
  test(`neither UDP nor ARP: ${name}`, () => {
    assert.equal(new FrameReader().read(frame, length), 'other');
  });

test('no bytes make the reader read beyond the frame', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(100), (bytes, length) => {
      const reader = new FrameReader();
      if (reader.read(bytes, length) === 'udp')
        assert.ok(reader.payloadStart + reader.payloadLength <= bytes.length);
    }),
  );
});
