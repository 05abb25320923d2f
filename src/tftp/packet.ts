import { asciiFromBytes, ByteReader, WireError } from '../net/bytes.ts';

/**
 * The six packets of TFTP (RFC 1350 section 5; options and OACK: RFC 2347).
 *
 * ```
 * RRQ/WRQ  | 01/02 | filename | 0 | mode | 0 | opt1 | 0 | value1 | 0 | ...
 * DATA     |  03   | block # | 0 to blksize bytes |
 * ACK      |  04   | block # |
 * ERROR    |  05   | code    | message | 0 |
 * OACK     |  06   | opt1 | 0 | value1 | 0 | ...
 * ```
 */
export type TftpPacket =
  | {
      readonly kind: 'rrq' | 'wrq';
      readonly filename: string;
      /** Lower-cased, as are the names of options: both are case-insensitive on the wire. */
      readonly mode: string;
      readonly options: ReadonlyMap<string, string>;
    }
  | { readonly kind: 'data'; readonly block: number; readonly data: Uint8Array }
  | { readonly kind: 'ack'; readonly block: number }
  | { readonly kind: 'error'; readonly code: number; readonly message: string }
  | { readonly kind: 'oack'; readonly options: ReadonlyMap<string, string> };

/** RFC 1350 section 5 and RFC 2347 (8). */
export const errorCode = {
  undefined: 0,
  fileNotFound: 1,
  accessViolation: 2,
  illegalOperation: 4,
  unknownTid: 5,
  optionsRefused: 8,
} as const;

const opcode = { rrq: 1, wrq: 2, data: 3, ack: 4, error: 5, oack: 6 } as const;

/** Text is bytes (Latin-1), so any name a client sends comes out and goes back unchanged. @throws WireError */
export function decodePacket(bytes: Uint8Array): TftpPacket {
  const reader = new ByteReader(bytes);
  const code = reader.u16('opcode');
  switch (code) {
    case opcode.rrq:
    case opcode.wrq: {
      const [filename, mode, ...rest] = splitText(takeRest(reader), 'request');
      if (filename === undefined || mode === undefined) throw new WireError('request names no file and mode');
      return {
        kind: code === opcode.rrq ? 'rrq' : 'wrq',
        filename,
        mode: mode.toLowerCase(),
        options: pairOptions(rest),
      };
    }
    case opcode.data:
      return { kind: 'data', block: reader.u16('block'), data: takeRest(reader) };
    case opcode.ack:
      return { kind: 'ack', block: reader.u16('block') };
    case opcode.error:
      // Small clients leave out the text or its NUL; the code is what counts.
      return {
        kind: 'error',
        code: reader.u16('error code'),
        message: asciiFromBytes(takeRest(reader)).split('\0', 1)[0] as string,
      };
    case opcode.oack:
      return { kind: 'oack', options: pairOptions(splitText(takeRest(reader), 'OACK')) };
    default:
      throw new WireError(`opcode ${code} is none of TFTP's`);
  }
}

/** The message of an ERROR becomes printable ASCII. @throws RangeError when another text cannot be sent as it is. */
export function encodePacket(packet: TftpPacket): Uint8Array {
  switch (packet.kind) {
    case 'rrq':
    case 'wrq':
      return joinText(opcode[packet.kind], [packet.filename, packet.mode, ...[...packet.options].flat()]);
    case 'oack':
      return joinText(opcode.oack, [...packet.options].flat());
    case 'data':
      return Buffer.concat([encodeDataHeader(packet.block), packet.data]);
    case 'ack':
      return words(opcode.ack, packet.block);
    case 'error':
      return Buffer.concat([
        words(opcode.error, packet.code),
        Buffer.from(`${packet.message.replace(/[^\x20-\x7e]/g, '?')}\0`, 'latin1'),
      ]);
  }
}

/** The 4 bytes before the data of a DATA packet, so that a block is sent from where the file lies. */
export function encodeDataHeader(block: number): Uint8Array {
  return words(opcode.data, block);
}

function takeRest(reader: ByteReader): Uint8Array {
  return reader.take(reader.remaining, 'rest');
}

function words(...values: number[]): Uint8Array {
  return Uint8Array.from(values.flatMap((value) => [(value >>> 8) & 0xff, value & 0xff]));
}

/** Every text of a packet ends in NUL, the last one too: one without it was cut off. */
function splitText(bytes: Uint8Array, field: string): string[] {
  const texts = asciiFromBytes(bytes).split('\0');
  if (texts.pop() !== '') throw new WireError(`${field} does not end in NUL`);
  return texts;
}

/** An empty name is padding and ends the options. RFC 2347: an option is given once, so the first one counts. */
function pairOptions(texts: readonly string[]): ReadonlyMap<string, string> {
  const options = new Map<string, string>();
  for (let index = 0; index < texts.length; index += 2) {
    const name = (texts[index] as string).toLowerCase();
    const value = texts[index + 1];
    if (name === '') break;
    if (value === undefined) throw new WireError(`option "${name}" has no value`);
    if (!options.has(name)) options.set(name, value);
  }
  return options;
}

function joinText(code: number, texts: readonly string[]): Uint8Array {
  const stranger = texts.find((text) => [...text].some((char) => char === '\0' || char > '\xff'));
  if (stranger !== undefined) throw new RangeError(`"${stranger}" cannot be a text of a TFTP packet`);
  return Buffer.concat([words(code), Buffer.from(texts.map((text) => `${text}\0`).join(''), 'latin1')]);
}
