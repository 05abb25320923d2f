import type { Random } from './random.ts';

/** Where a forged datagram says it comes from and where it goes; addresses are 32-bit numbers. */
export interface ForgedPath {
  readonly sourceMac: Uint8Array;
  readonly destinationMac: Uint8Array;
  readonly source: number;
  readonly destination: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

const ETHERNET = 14;
const HEADERS = 42;

/**
 * Writes a datagram with UDP checksum 0 into `frame`. With `liar` the lengths of its headers lie: the kernel drops most
 * such frames, and hands on those whose UDP length is short.
 * @returns the length of the frame, cut to what `frame` holds.
 */
export function writeForged(frame: Buffer, path: ForgedPath, payload: Uint8Array, liar?: Random): number {
  const held = payload.subarray(0, Math.min(frame.length, 1_514) - HEADERS);
  const { length } = held;
  frame.set(path.destinationMac, 0);
  frame.set(path.sourceMac, 6);
  frame.writeUInt16BE(0x0800, 12);
  frame.writeUInt32BE(0x4500_0000 + 28 + length, ETHERNET);
  frame.writeUInt32BE(0, 18); // not a fragment
  frame.writeUInt32BE(0x4011_0000, 22); // TTL 64, UDP, no checksum yet
  frame.writeUInt32BE(path.source, 26);
  frame.writeUInt32BE(path.destination, 30);
  frame.writeUInt16BE(path.sourcePort, 34);
  frame.writeUInt16BE(path.destinationPort, 36);
  frame.writeUInt16BE(8 + length, 38);
  frame.writeUInt16BE(0, 40);
  frame.set(held, HEADERS);
  if (liar) tellLies(frame, length, liar);
  frame.writeUInt16BE(checksum(frame), 24);
  return HEADERS + length;
}

function tellLies(frame: Buffer, length: number, random: Random): void {
  switch (random.below(4)) {
    case 0:
      frame.writeUInt16BE(random.below(8 + length), 38); // the kernel hands on what this says
      break;
    case 1:
      frame.writeUInt16BE(8 + length + random.below(100), 38);
      break;
    case 2:
      frame.writeUInt16BE(random.below(65_536), 16);
      break;
    default:
      frame[ETHERNET] = 0x40 + random.below(16);
  }
}

/** RFC 1071, over an IPv4 header of 20 bytes. */
function checksum(frame: Buffer): number {
  let sum = 0;
  for (let at = ETHERNET; at < ETHERNET + 20; at += 2) sum += frame.readUInt16BE(at);
  sum = (sum & 0xffff) + (sum >>> 16);
  return ~((sum & 0xffff) + (sum >>> 16)) & 0xffff;
}
