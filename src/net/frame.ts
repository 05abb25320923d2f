import { type Ipv4, ipv4ToNumber } from './ipv4.ts';
import { type Mac, macToBytes } from './mac.ts';

/** Ethernet frames with ARP or with UDP over IPv4 in them: as much as a network boot needs, and nothing is allocated per frame. */

export const BROADCAST_MAC = 'ff:ff:ff:ff:ff:ff' as Mac;

const ETHERNET_HEADER = 14;
const UDP_HEADER = 8;
/** Bytes before the payload of a UDP frame that we write: Ethernet, IPv4 without options, UDP. */
export const UDP_PAYLOAD = 42;
/** RFC 826, for IPv4 over Ethernet. */
export const ARP_FRAME = 42;
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_ARP = 0x0806;
const PROTOCOL_UDP = 17;

export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

/** A received frame's fields, to be read again and again into the same object. Addresses are 32-bit numbers. */
export class FrameReader {
  source = 0;
  destination = 0;
  sourcePort = 0;
  destinationPort = 0;
  payloadStart = 0;
  payloadLength = 0;
  arpOperation = 0;

  /**
   * @param length of the frame; `bytes` may go on behind it.
   * @returns `udp`: source, destination, ports and payload are those of the datagram; `arp`: operation, source
   * (sender) and destination (target); `other`: neither, or a length in it lies, and the fields mean nothing.
   * Checksums are not looked at: a frame that crossed a veth pair has none yet.
   */
  read(bytes: Uint8Array, length: number): 'udp' | 'arp' | 'other' {
    if (length > bytes.length || length < ETHERNET_HEADER) return 'other';
    const etherType = u16(bytes, 12);
    if (etherType === ETHERTYPE_IPV4) return this.#readIpv4(bytes, length);
    if (etherType !== ETHERTYPE_ARP || length < ARP_FRAME) return 'other';
    if (u32(bytes, 14) !== 0x00010800 || u16(bytes, 18) !== 0x0604) return 'other';
    this.arpOperation = u16(bytes, 20);
    this.source = u32(bytes, 28);
    this.destination = u32(bytes, 38);
    return 'arp';
  }

  #readIpv4(bytes: Uint8Array, length: number): 'udp' | 'other' {
    if (length < ETHERNET_HEADER + 20) return 'other';
    const versionAndLength = bytes[14] as number;
    const headerLength = (versionAndLength & 0x0f) * 4;
    const totalLength = u16(bytes, 16);
    const udpStart = ETHERNET_HEADER + headerLength;
    const isFragment = (u16(bytes, 20) & 0x3fff) !== 0; // "more fragments" or an offset
    if (versionAndLength >> 4 !== 4 || headerLength < 20 || isFragment || bytes[23] !== PROTOCOL_UDP)
      return 'other';
    if (totalLength < headerLength + UDP_HEADER || ETHERNET_HEADER + totalLength > length) return 'other';
    const udpLength = u16(bytes, udpStart + 4);
    if (udpLength < UDP_HEADER || udpLength > totalLength - headerLength) return 'other';
    this.source = u32(bytes, 26);
    this.destination = u32(bytes, 30);
    this.sourcePort = u16(bytes, udpStart);
    this.destinationPort = u16(bytes, udpStart + 2);
    this.payloadStart = udpStart + UDP_HEADER;
    this.payloadLength = udpLength - UDP_HEADER;
    return 'udp';
  }
}

export interface UdpPath {
  readonly sourceMac: Mac;
  readonly destinationMac: Mac;
  readonly source: Ipv4;
  readonly destination: Ipv4;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Default 64. */
  readonly ttl?: number;
  /** `false`: UDP checksum 0, as a Pi 3 sends it; default `true`. */
  readonly checksum?: boolean;
}

/** Writes the datagrams of one conversation: the headers are made once, then only lengths and checksums change. */
export class UdpWriter {
  readonly #header = new Uint8Array(UDP_PAYLOAD);
  readonly #hasChecksum: boolean;
  /** Sums of the 16-bit words that stay, before folding. */
  readonly #ipSum: number;
  readonly #udpSum: number;

  constructor(path: UdpPath) {
    const header = this.#header;
    header.set(macToBytes(path.destinationMac), 0);
    header.set(macToBytes(path.sourceMac), 6);
    putU16(header, 12, ETHERTYPE_IPV4);
    header[14] = 0x45;
    header[22] = path.ttl ?? 64;
    header[23] = PROTOCOL_UDP;
    putU32(header, 26, ipv4ToNumber(path.source));
    putU32(header, 30, ipv4ToNumber(path.destination));
    putU16(header, 34, path.sourcePort);
    putU16(header, 36, path.destinationPort);
    this.#hasChecksum = path.checksum ?? true;
    this.#ipSum = sumWords(header, 14, 20, 0);
    this.#udpSum = sumWords(header, 26, 12, PROTOCOL_UDP); // both addresses, both ports
  }

  /** @returns the length of the frame. @throws RangeError when `frame` has no room for it. */
  write(frame: Uint8Array, payload: Uint8Array): number {
    const length = UDP_PAYLOAD + payload.length;
    if (length > frame.length)
      throw new RangeError(`a frame of ${length} bytes, there is room for ${frame.length}`);
    frame.set(this.#header);
    frame.set(payload, UDP_PAYLOAD);
    const udpLength = UDP_HEADER + payload.length;
    putU16(frame, 16, 20 + udpLength);
    putU16(frame, 24, ~fold(this.#ipSum + 20 + udpLength));
    putU16(frame, 38, udpLength);
    if (this.#hasChecksum) {
      const sum = sumWords(payload, 0, payload.length, this.#udpSum + 2 * udpLength);
      putU16(frame, 40, ~fold(sum) & 0xffff || 0xffff); // RFC 768: 0 would say that there is none
    }
    return length;
  }
}

export interface Arp {
  readonly operation: typeof ARP_REQUEST | typeof ARP_REPLY;
  readonly senderMac: Mac;
  readonly sender: Ipv4;
  /** Whom the frame goes to, and for a reply the target; a request has no target address of hardware. */
  readonly destinationMac: Mac;
  readonly target: Ipv4;
}

/** @returns the length of the frame. */
export function writeArp(frame: Uint8Array, arp: Arp): number {
  const sender = macToBytes(arp.senderMac);
  const destination = macToBytes(arp.destinationMac);
  frame.fill(0, 0, ARP_FRAME);
  frame.set(destination, 0);
  frame.set(sender, 6);
  putU16(frame, 12, ETHERTYPE_ARP);
  putU32(frame, 14, 0x00010800);
  putU16(frame, 18, 0x0604);
  putU16(frame, 20, arp.operation);
  frame.set(sender, 22);
  putU32(frame, 28, ipv4ToNumber(arp.sender));
  if (arp.operation === ARP_REPLY) frame.set(destination, 32);
  putU32(frame, 38, ipv4ToNumber(arp.target));
  return ARP_FRAME;
}

/** RFC 1071: the one's complement sum of 16-bit words; an odd byte at the end counts as followed by 0. */
function sumWords(bytes: Uint8Array, start: number, length: number, initial: number): number {
  let sum = initial;
  const end = start + length;
  for (let index = start; index + 1 < end; index += 2) sum += u16(bytes, index);
  return length % 2 === 1 ? sum + (bytes[end - 1] as number) * 0x100 : sum;
}

function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  return folded;
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

function u32(bytes: Uint8Array, at: number): number {
  return u16(bytes, at) * 0x10000 + u16(bytes, at + 2);
}

function putU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

function putU32(bytes: Uint8Array, at: number, value: number): void {
  putU16(bytes, at, value >>> 16);
  putU16(bytes, at + 2, value & 0xffff);
}
