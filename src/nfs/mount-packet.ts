import { asciiFromBytes, ByteReader, WireError } from '../net/bytes.ts';

/** RFC 1813 appendix I: the MOUNT protocol, version 3, over ONC RPC (RFC 5531). Only EXPORT, its question without arguments. */
const MOUNT_PROGRAM = 100005;
const MOUNT_VERSION = 3;
const MOUNTPROC3_EXPORT = 5;

/** What a server says it exports: the path and the clients ("groups") it names for it. */
export interface ServedExport {
  readonly path: string;
  readonly clients: readonly string[];
}

/** An EXPORT call with its record mark (RFC 5531 section 11), no credentials. */
export function encodeExportCall(xid: number): Uint8Array {
  const words = [xid, 0, 2, MOUNT_PROGRAM, MOUNT_VERSION, MOUNTPROC3_EXPORT, 0, 0, 0, 0];
  const bytes = new Uint8Array(4 + words.length * 4);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, (0x80000000 | (words.length * 4)) >>> 0);
  for (const [index, word] of words.entries()) view.setUint32(4 + index * 4, word);
  return bytes;
}

/**
 * The record's payload once all its fragments are in `received`, or `undefined` while some are missing.
 * @throws WireError when it would be longer than `limit` bytes.
 */
export function joinFragments(received: Uint8Array, limit = 1 << 20): Uint8Array | undefined {
  const reader = new ByteReader(received);
  const parts: Uint8Array[] = [];
  let total = 0;
  while (reader.remaining >= 4) {
    const mark = reader.u32('record mark');
    const length = mark % 0x80000000;
    total += length;
    if (total > limit) throw new WireError(`a record of more than ${limit} bytes`);
    if (reader.remaining < length) return undefined;
    parts.push(reader.take(length, 'fragment'));
    if (mark >= 0x80000000) return joined(parts, total);
  }
  return undefined;
}

function joined(parts: readonly Uint8Array[], total: number): Uint8Array {
  const record = new Uint8Array(total);
  let offset = 0;
  for (const part of parts) {
    record.set(part, offset);
    offset += part.length;
  }
  return record;
}

/** The exports of an EXPORT reply. @throws WireError when it is another's reply, a refusal, or cut short. */
export function decodeExportReply(record: Uint8Array, xid: number): ServedExport[] {
  const reader = new ByteReader(record);
  if (reader.u32('xid') !== xid) throw new WireError('a reply to another call');
  const status = [reader.u32('type'), reader.u32('reply state')];
  reader.u32('verifier flavor');
  readOpaque(reader, 'verifier');
  const accepted = reader.u32('accept state');
  if (status[0] !== 1 || status[1] !== 0 || accepted !== 0) throw new WireError('the call was refused');
  const exports: ServedExport[] = [];
  while (reader.u32('export follows') === 1) {
    const path = readOpaque(reader, 'path');
    const clients: string[] = [];
    while (reader.u32('group follows') === 1) clients.push(readOpaque(reader, 'group'));
    exports.push({ path, clients });
  }
  return exports;
}

function readOpaque(reader: ByteReader, field: string): string {
  const length = reader.u32(`length of ${field}`);
  const text = asciiFromBytes(reader.take(length, field));
  reader.take((4 - (length % 4)) % 4, `padding of ${field}`);
  return text;
}
