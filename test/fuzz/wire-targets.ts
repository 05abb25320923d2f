import { partOf } from '../../src/http/range.ts';
import { agentOf, pathOf } from '../../src/http/request.ts';
import { asciiFromBytes } from '../../src/net/bytes.ts';
import { BROADCAST_MAC, FrameReader, UdpWriter, writeArp } from '../../src/net/frame.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import { DHCP_REQUESTS, HTTP_REQUESTS, TFTP_REQUESTS } from './corpus.ts';
import { check, type Target } from './target.ts';

const SIZE = 70_000;
const path = {
  sourceMac: 'dc:a6:32:00:00:04' as Mac,
  destinationMac: BROADCAST_MAC,
  source: '192.168.172.21' as Ipv4,
  destination: '192.168.172.17' as Ipv4,
};
const frameOf = (destinationPort: number, payload: Uint8Array): Uint8Array => {
  const frame = new Uint8Array(1514);
  const writer = new UdpWriter({ ...path, sourcePort: 68, destinationPort });
  return frame.subarray(0, writer.write(frame, payload));
};
const arp = new Uint8Array(60);
writeArp(arp, {
  ...{ operation: 1, senderMac: path.sourceMac, sender: path.source },
  ...{ destinationMac: BROADCAST_MAC, target: path.destination },
});
const reader = new FrameReader();

/** Frames, and what HTTP leaves to us once Node has read the headers. */
export const WIRE_TARGETS: readonly Target[] = [
  {
    name: 'frame',
    seeds: [
      arp,
      ...DHCP_REQUESTS.slice(0, 4).map((each) => frameOf(67, each)),
      ...TFTP_REQUESTS.slice(0, 4).map((each) => frameOf(69, each)),
    ],
    read(input) {
      // In a larger buffer, as in a receive ring; what lies behind is another frame's.
      const ring = new Uint8Array(2_048 + input.length).fill(0xff);
      ring.set(input);
      if (reader.read(ring, input.length) !== 'udp') return;
      const end = reader.payloadStart + reader.payloadLength;
      check(
        reader.payloadStart >= 42 && end <= input.length,
        `a payload from ${reader.payloadStart} to ${end}`,
      );
      check(reader.sourcePort <= 65_535 && reader.destination <= 0xffffffff, 'a port or address too large');
    },
  },
  {
    name: 'http-target',
    seeds: [
      ...HTTP_REQUESTS.map((bytes) => bytes.subarray(bytes.indexOf(32) + 1, bytes.indexOf(13) - 9)),
      ...['/a%2fb?c', 'http://h:80/x#y', '*', '/%c3%a9', '//h/x', '/%00'].map((target) =>
        Buffer.from(target),
      ),
    ],
    read(input) {
      const found = pathOf(asciiFromBytes(input));
      if (found !== undefined) check(found.startsWith('/') && found.length <= input.length, found);
    },
  },
  {
    name: 'http-headers',
    seeds: [
      'bytes=0-',
      'bytes=100-199',
      'bytes=-5',
      'bytes=5-4',
      'bytes=1-2,4-5',
      'rpiboot/1.0 (c03115; version:1)',
      '"v1"',
    ].map((value) => Buffer.from(value)),
    read(input) {
      const text = asciiFromBytes(input);
      for (const ifRange of [undefined, text]) {
        const part = partOf(SIZE, { range: text, ifRange }, 'v1');
        if (part)
          check(part.start >= 0 && part.start < part.end && part.end <= SIZE, `${part.start} to ${part.end}`);
      }
      const { agent = '', boardRevision = '' } = agentOf(text);
      check(agent.length <= 128 && /^[0-9a-f]{0,8}$/.test(boardRevision), `${agent} ${boardRevision}`);
    },
  },
];
