import { asciiFromBytes, WireError } from '../net/bytes.ts';
import { type Ipv4, ipv4FromBytes, ipv4ToNumber } from '../net/ipv4.ts';
import { type Mac, macFromBytes, macToBytes } from '../net/mac.ts';

/** A DHCP message (RFC 2131 section 2, RFC 951) with the RFC's field names. Ethernet only: `hlen` is always 6. */
export interface DhcpMessage {
  /** 1 BOOTREQUEST, 2 BOOTREPLY. */
  readonly op: 1 | 2;
  readonly htype: number;
  readonly hops: number;
  readonly xid: number;
  readonly secs: number;
  readonly flags: number;
  readonly ciaddr: Ipv4;
  readonly yiaddr: Ipv4;
  readonly siaddr: Ipv4;
  readonly giaddr: Ipv4;
  readonly chaddr: Mac;
  readonly sname: string;
  readonly file: string;
  /**
   * Raw bytes by option code, in the order of the wire; typed readings are in options.ts. Repeats are joined
   * (RFC 3396); PAD, END and option overload (52) are the codec's and never appear here.
   */
  readonly options: ReadonlyMap<number, Uint8Array>;
}

/** In `flags`: the client, or its relay, is to be answered by broadcast (RFC 2131 figure 2). */
export const BROADCAST_FLAG = 0x8000;

const HEADER_LENGTH = 236;
const MAGIC_COOKIE = 0x63825363;
const OPTIONS_OFFSET = HEADER_LENGTH + 4;
const SNAME_OFFSET = 44;
const SNAME_LENGTH = 64;
const FILE_OFFSET = 108;
const FILE_LENGTH = 128;
/** The fields before the options and their bytes (RFC 2131 figure 1), to say which of them is cut off. */
const FIXED_PART: ReadonlyArray<readonly [string, number]> = [
  ...(['op', 'htype', 'hlen', 'hops'] as const).map((field) => [field, 1] as const),
  ['xid', 4],
  ['secs', 2],
  ['flags', 2],
  ...(['ciaddr', 'yiaddr', 'siaddr', 'giaddr'] as const).map((field) => [field, 4] as const),
  ['chaddr', 16],
  ['sname', SNAME_LENGTH],
  ['file', FILE_LENGTH],
  ['magic cookie', 4],
];
/** Shortest BOOTP message of RFC 951; old firmware and relays may drop a shorter one. */
const MINIMUM_LENGTH = 300;
/**
 * A client's message fits one Ethernet frame, and the longest one its file and sname full of options. What is longer
 * than this was made to keep us busy: a UDP datagram has room for 21,000 options.
 */
const LONGEST_MESSAGE = 4096;

const PAD = 0;
const OVERLOAD = 52;
const RELAY_AGENT_INFORMATION = 82;
const END = 255;

/** Reads one datagram; option values are views into `bytes`. @throws WireError for anything that is no DHCP message. */
export function decodeMessage(bytes: Uint8Array): DhcpMessage {
  if (bytes.length > LONGEST_MESSAGE)
    throw new WireError(`${bytes.length} bytes are more than the ${LONGEST_MESSAGE} of any message`);
  if (bytes.length < OPTIONS_OFFSET) throw tooShort(bytes.length);
  const op = u8(bytes, 0);
  if (op !== 1 && op !== 2) throw new WireError(`op is ${op}, neither BOOTREQUEST nor BOOTREPLY`);
  const hlen = u8(bytes, 2);
  if (hlen !== 6) throw new WireError(`hlen is ${hlen}; an Ethernet address has 6 bytes`);
  const cookie = u32(bytes, HEADER_LENGTH);
  if (cookie !== MAGIC_COOKIE)
    throw new WireError(`the magic cookie is ${cookie.toString(16)}, not 63825363`);

  const pieces: Pieces = { options: new Map(), repeats: undefined };
  readOptions(bytes, OPTIONS_OFFSET, bytes.length, pieces);
  // RFC 2131 section 4.1: an overloaded field holds options, `file` before `sname` (RFC 3396 section 5).
  const overload = pieces.options.get(OVERLOAD)?.[0] ?? 0;
  const isFileOverloaded = (overload & 1) !== 0;
  const isSnameOverloaded = (overload & 2) !== 0;
  if (isFileOverloaded) readOptions(bytes, FILE_OFFSET, FILE_OFFSET + FILE_LENGTH, pieces);
  if (isSnameOverloaded) readOptions(bytes, SNAME_OFFSET, SNAME_OFFSET + SNAME_LENGTH, pieces);
  for (const [code, values] of pieces.repeats ?? []) pieces.options.set(code, join(values));
  pieces.options.delete(OVERLOAD);
  return {
    op,
    htype: u8(bytes, 1),
    hops: u8(bytes, 3),
    xid: u32(bytes, 4),
    secs: u16(bytes, 8),
    flags: u16(bytes, 10),
    ciaddr: ipv4FromBytes(bytes, 12),
    yiaddr: ipv4FromBytes(bytes, 16),
    siaddr: ipv4FromBytes(bytes, 20),
    giaddr: ipv4FromBytes(bytes, 24),
    chaddr: macFromBytes(bytes, 28),
    sname: isSnameOverloaded ? '' : untilNul(bytes, SNAME_OFFSET, SNAME_LENGTH),
    file: isFileOverloaded ? '' : untilNul(bytes, FILE_OFFSET, FILE_LENGTH),
    options: pieces.options,
  };
}

// The bounds of these three are checked once, by the length of the whole message.
const u8 = (bytes: Uint8Array, offset: number): number => bytes[offset] as number;
const u16 = (bytes: Uint8Array, offset: number): number => u8(bytes, offset) * 0x100 + u8(bytes, offset + 1);
const u32 = (bytes: Uint8Array, offset: number): number =>
  u16(bytes, offset) * 0x10000 + u16(bytes, offset + 2);

/** Says which field of the fixed part is not there any more. */
function tooShort(length: number): WireError {
  let left = length;
  for (const [field, size] of FIXED_PART) {
    if (left < size) return new WireError(`${field} needs ${size} bytes, ${left} are left`);
    left -= size;
  }
  throw new RangeError(`${length} bytes hold the whole fixed part`);
}

/** Where a code comes more than once (RFC 3396), its values in the order of the wire; almost no message has any. */
interface Pieces {
  readonly options: Map<number, Uint8Array>;
  repeats: Map<number, Uint8Array[]> | undefined;
}

/** A missing END is tolerated, as every other server does; an option that runs past its field is not. */
function readOptions(bytes: Uint8Array, start: number, end: number, into: Pieces): void {
  let offset = start;
  while (offset < end) {
    const code = u8(bytes, offset++);
    if (code === PAD) continue;
    if (code === END) return;
    if (offset >= end) throw new WireError(`option ${code}'s length needs 1 bytes, 0 are left`);
    const length = u8(bytes, offset++);
    if (length > end - offset)
      throw new WireError(`option ${code} needs ${length} bytes, ${end - offset} are left`);
    const value = bytes.subarray(offset, offset + length);
    offset += length;
    const before = into.options.get(code);
    if (before) repeat(into, code, before, value);
    else into.options.set(code, value);
  }
}

function repeat(into: Pieces, code: number, before: Uint8Array, value: Uint8Array): void {
  into.repeats ??= new Map();
  const values = into.repeats.get(code);
  if (values) values.push(value);
  else into.repeats.set(code, [before, value]);
}

function join(pieces: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    joined.set(piece, offset);
    offset += piece.length;
  }
  return joined;
}

function untilNul(bytes: Uint8Array, start: number, length: number): string {
  if (bytes[start] === 0) return '';
  const field = bytes.subarray(start, start + length);
  const end = field.indexOf(0);
  return asciiFromBytes(end < 0 ? field : field.subarray(0, end));
}

/**
 * Writes a message: options in the map's order, relay agent information last (RFC 3046 section 2.1), values over
 * 255 bytes split (RFC 3396), at least 300 bytes. @throws RangeError for what no datagram can hold (our mistake).
 */
export function encodeMessage(message: DhcpMessage): Uint8Array {
  const length = OPTIONS_OFFSET + optionsLength(message.options) + 1;
  const bytes = zeroed(Math.max(length, MINIMUM_LENGTH));
  bytes[0] = message.op;
  bytes[1] = message.htype;
  bytes[2] = 6;
  bytes[3] = message.hops;
  writeU32(bytes, 4, message.xid);
  writeU16(bytes, 8, message.secs);
  writeU16(bytes, 10, message.flags);
  writeU32(bytes, 12, ipv4ToNumber(message.ciaddr));
  writeU32(bytes, 16, ipv4ToNumber(message.yiaddr));
  writeU32(bytes, 20, ipv4ToNumber(message.siaddr));
  writeU32(bytes, 24, ipv4ToNumber(message.giaddr));
  bytes.set(macToBytes(message.chaddr), 28);
  writeText(bytes, SNAME_OFFSET, message.sname, SNAME_LENGTH, 'sname');
  writeText(bytes, FILE_OFFSET, message.file, FILE_LENGTH, 'file');
  writeU32(bytes, HEADER_LENGTH, MAGIC_COOKIE);
  bytes[writeOptions(bytes, OPTIONS_OFFSET, message.options)] = END;
  return bytes;
}

/** Out of Node's pool of small buffers: an ArrayBuffer for each message would keep the garbage collector busy. */
function zeroed(length: number): Uint8Array {
  const { buffer, byteOffset } = Buffer.allocUnsafe(length);
  return new Uint8Array(buffer, byteOffset, length).fill(0);
}

/** With a code and a length for every 255 bytes begun; an empty value has them once. */
function optionsLength(options: ReadonlyMap<number, Uint8Array>): number {
  let length = 0;
  for (const value of options.values())
    length += value.length + 2 * Math.max(1, Math.ceil(value.length / 255));
  return length;
}

/** Gives the offset behind the last one. */
function writeOptions(bytes: Uint8Array, start: number, options: ReadonlyMap<number, Uint8Array>): number {
  let offset = start;
  for (const [code, value] of options) {
    if (code !== RELAY_AGENT_INFORMATION) offset = writeOption(bytes, offset, code, value);
  }
  const relayInformation = options.get(RELAY_AGENT_INFORMATION);
  return relayInformation ? writeOption(bytes, offset, RELAY_AGENT_INFORMATION, relayInformation) : offset;
}

function writeOption(bytes: Uint8Array, start: number, code: number, value: Uint8Array): number {
  if (code <= PAD || code >= END || code === OVERLOAD)
    throw new RangeError(`option ${code} is the codec's own`);
  let offset = start;
  let written = 0;
  do {
    const part = value.length <= 255 ? value : value.subarray(written, written + 255);
    bytes[offset] = code;
    bytes[offset + 1] = part.length;
    bytes.set(part, offset + 2);
    offset += 2 + part.length;
    written += part.length;
  } while (written < value.length);
  return offset;
}

function writeU16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 8;
  bytes[offset + 1] = value;
}

function writeU32(bytes: Uint8Array, offset: number, value: number): void {
  writeU16(bytes, offset, value >>> 16);
  writeU16(bytes, offset + 2, value);
}

/** Latin 1, one byte per character. */
function writeText(bytes: Uint8Array, offset: number, text: string, room: number, field: string): void {
  if (text.length > room) throw new RangeError(`${field} has room for ${room} bytes, not for ${text.length}`);
  for (let index = 0; index < text.length; index++) bytes[offset + index] = text.charCodeAt(index);
}
