import { asciiFromBytes, ByteReader, WireError } from '../net/bytes.ts';
import { type Ipv4, ipv4FromBytes, ipv4ToBytes } from '../net/ipv4.ts';
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

const HEADER_LENGTH = 236;
const MAGIC_COOKIE = 0x63825363;
const SNAME_LENGTH = 64;
const FILE_LENGTH = 128;
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
  const reader = new ByteReader(bytes);
  const op = reader.u8('op');
  if (op !== 1 && op !== 2) throw new WireError(`op is ${op}, neither BOOTREQUEST nor BOOTREPLY`);
  const htype = reader.u8('htype');
  const hlen = reader.u8('hlen');
  if (hlen !== 6) throw new WireError(`hlen is ${hlen}; an Ethernet address has 6 bytes`);
  const header = {
    op: op as 1 | 2,
    htype,
    hops: reader.u8('hops'),
    xid: reader.u32('xid'),
    secs: reader.u16('secs'),
    flags: reader.u16('flags'),
    ciaddr: ipv4FromBytes(reader.take(4, 'ciaddr')),
    yiaddr: ipv4FromBytes(reader.take(4, 'yiaddr')),
    siaddr: ipv4FromBytes(reader.take(4, 'siaddr')),
    giaddr: ipv4FromBytes(reader.take(4, 'giaddr')),
    chaddr: macFromBytes(reader.take(16, 'chaddr')),
  };
  const sname = reader.take(SNAME_LENGTH, 'sname');
  const file = reader.take(FILE_LENGTH, 'file');
  const cookie = reader.u32('magic cookie');
  if (cookie !== MAGIC_COOKIE)
    throw new WireError(`the magic cookie is ${cookie.toString(16)}, not 63825363`);

  const pieces: Pieces = new Map();
  readOptions(reader.take(reader.remaining, 'options'), pieces);
  // RFC 2131 section 4.1: an overloaded field holds options, `file` before `sname` (RFC 3396 section 5).
  const overload = join(pieces.get(OVERLOAD) ?? [])[0] ?? 0;
  const isFileOverloaded = (overload & 1) !== 0;
  const isSnameOverloaded = (overload & 2) !== 0;
  if (isFileOverloaded) readOptions(file, pieces);
  if (isSnameOverloaded) readOptions(sname, pieces);
  pieces.delete(OVERLOAD);
  return {
    ...header,
    sname: isSnameOverloaded ? '' : untilNul(sname),
    file: isFileOverloaded ? '' : untilNul(file),
    options: new Map(Array.from(pieces, ([code, values]) => [code, join(values)])),
  };
}

/** The values of each code, in the order of the wire. */
type Pieces = Map<number, Uint8Array[]>;

/** A missing END is tolerated, as every other server does; an option that runs past its field is not. */
function readOptions(field: Uint8Array, into: Pieces): void {
  const reader = new ByteReader(field);
  while (reader.remaining > 0) {
    const code = reader.u8('option code');
    if (code === PAD) continue;
    if (code === END) return;
    const length = reader.u8(`option ${code}'s length`);
    const value = reader.take(length, `option ${code}`);
    const before = into.get(code);
    if (before) before.push(value);
    else into.set(code, [value]);
  }
}

function join(pieces: readonly Uint8Array[]): Uint8Array {
  return pieces.length === 1
    ? (pieces[0] as Uint8Array)
    : Uint8Array.from(pieces.flatMap((piece) => Array.from(piece)));
}

function untilNul(field: Uint8Array): string {
  const end = field.indexOf(0);
  return asciiFromBytes(end < 0 ? field : field.subarray(0, end));
}

/**
 * Writes a message: options in the map's order, relay agent information last (RFC 3046 section 2.1), values over
 * 255 bytes split (RFC 3396), at least 300 bytes. @throws RangeError for what no datagram can hold (our mistake).
 */
export function encodeMessage(message: DhcpMessage): Uint8Array {
  const options = encodeOptions(message.options);
  const length = HEADER_LENGTH + 4 + options.length + 1;
  const bytes = new Uint8Array(Math.max(length, MINIMUM_LENGTH));
  const view = new DataView(bytes.buffer);
  bytes.set([message.op, message.htype, 6, message.hops]);
  view.setUint32(4, message.xid);
  view.setUint16(8, message.secs);
  view.setUint16(10, message.flags);
  bytes.set(ipv4ToBytes(message.ciaddr), 12);
  bytes.set(ipv4ToBytes(message.yiaddr), 16);
  bytes.set(ipv4ToBytes(message.siaddr), 20);
  bytes.set(ipv4ToBytes(message.giaddr), 24);
  bytes.set(macToBytes(message.chaddr), 28);
  bytes.set(latin1(message.sname, SNAME_LENGTH, 'sname'), 44);
  bytes.set(latin1(message.file, FILE_LENGTH, 'file'), 108);
  view.setUint32(HEADER_LENGTH, MAGIC_COOKIE);
  bytes.set(options, HEADER_LENGTH + 4);
  bytes[length - 1] = END;
  return bytes;
}

function encodeOptions(options: ReadonlyMap<number, Uint8Array>): Uint8Array {
  const bytes: number[] = [];
  const relayInformation = options.get(RELAY_AGENT_INFORMATION);
  for (const [code, value] of options) {
    if (code !== RELAY_AGENT_INFORMATION) pushOption(bytes, code, value);
  }
  if (relayInformation) pushOption(bytes, RELAY_AGENT_INFORMATION, relayInformation);
  return Uint8Array.from(bytes);
}

function pushOption(bytes: number[], code: number, value: Uint8Array): void {
  if (code <= PAD || code >= END || code === OVERLOAD)
    throw new RangeError(`option ${code} is the codec's own`);
  let offset = 0;
  do {
    const part = value.subarray(offset, offset + 255);
    bytes.push(code, part.length, ...part);
    offset += part.length;
  } while (offset < value.length);
}

function latin1(text: string, room: number, field: string): Uint8Array {
  if (text.length > room) throw new RangeError(`${field} has room for ${room} bytes, not for ${text.length}`);
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
