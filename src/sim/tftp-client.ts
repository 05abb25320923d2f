import type { Ipv4 } from '../net/ipv4.ts';
import { decodePacket, encodePacket, type TftpPacket } from '../tftp/packet.ts';
import type { Inbox } from './inbox.ts';

/** How one firmware stage speaks TFTP. */
export interface TftpDialect {
  /** The program that asks, for the transcript. */
  readonly stage: string;
  /** Options of its RRQ, in order; no Pi stage asks for any but these. */
  readonly asks: readonly ('tsize' | 'blksize')[];
  readonly blksize: number;
  readonly fileTimeoutMs: number;
  /** Counts on at 0 after block 65535; others cannot read further. */
  readonly rollsOver: boolean;
  /** A server that ignores options and sends DATA at once is not understood. */
  readonly needsOack: boolean;
  /** What silence means: the end of the boot, or just a missing file. */
  readonly onSilence: 'fail' | 'miss';
  /** UDP source port of its first request; each further one takes the next. */
  readonly firstPort: number;
  readonly sendsChecksum: boolean;
  readonly ttl: number;
}

export type Fetched =
  | { readonly kind: 'read'; readonly bytes: Uint8Array; readonly answer: string }
  | { readonly kind: 'probed'; readonly size: number; readonly answer: string }
  | { readonly kind: 'missing'; readonly answer: string }
  | { readonly kind: 'silent'; readonly size: number; readonly answer: string }
  | { readonly kind: 'broken'; readonly size: number; readonly answer: string };

export interface TftpTransport {
  /** To the server: port 69 for the RRQ, its TID afterwards. */
  send(bytes: Uint8Array, port: number): void;
  readonly inbox: Inbox;
  readonly server: Ipv4;
  readonly timeScale: number;
}

const RRQ_RESEND_MS = 2_000;
const LAST_BLOCK = 65_535;

/** One file, one block in flight, from RRQ to the last ACK (RFC 1350, 2347-2349). Never throws for what a server does. */
export async function fetchFile(
  path: string,
  dialect: TftpDialect,
  purpose: 'read' | 'probe',
  transport: TftpTransport,
): Promise<Fetched> {
  const deadline = performance.now() + dialect.fileTimeoutMs * transport.timeScale;
  const first = await firstAnswer(path, dialect, transport, deadline);
  if (!first) return silent(dialect, 0);
  const { tid } = first;
  let { packet } = first;
  const stop = (reason: string, size: number): Fetched => {
    transport.send(encodePacket({ kind: 'error', code: 0, message: 'Aborted' }), tid);
    return { kind: 'broken', size, answer: reason };
  };

  let answer = '';
  let size: number | undefined;
  let blksize = 512;
  if (packet.kind === 'oack') {
    const fault = faultOfOack(packet.options, dialect);
    if (fault) return stop(fault, 0);
    answer = [...packet.options].map(([name, value]) => `${name}=${value}`).join(' ');
    blksize = Number(packet.options.get('blksize') ?? 512);
    const tsize = packet.options.get('tsize');
    if (tsize !== undefined) size = Number(tsize);
  } else if (packet.kind === 'data' && dialect.needsOack) {
    // raspberrypi/firmware#1913 and #1526: start.elf since 2020-04-16 reports "File read: -2".
    stop('options ignored', 0);
    return { kind: 'missing', answer: 'DATA without an OACK, which this stage takes for a missing file' };
  }
  if (packet.kind === 'error') return { kind: 'missing', answer: `error ${packet.code} "${packet.message}"` };
  if (purpose === 'probe') {
    transport.send(encodePacket({ kind: 'error', code: 0, message: 'Early terminate' }), tid);
    return { kind: 'probed', size: size ?? 0, answer };
  }
  if (!dialect.rollsOver && size !== undefined && size >= LAST_BLOCK * blksize)
    return stop(
      `${size} bytes in blocks of ${blksize}: this stage cannot count past block ${LAST_BLOCK}, so what follows ${LAST_BLOCK * blksize} bytes would be silently cut off (raspberrypi/rpi-eeprom#375, #720)`,
      0,
    );

  const blocks: Uint8Array[] = [];
  let received = 0;
  let expected = 1;
  if (packet.kind === 'oack') acknowledge(0);
  while (true) {
    if (packet.kind === 'data') {
      if (packet.data.length > blksize)
        return stop(`DATA of ${packet.data.length} bytes where ${blksize} were agreed`, received);
      if (packet.block === expected % 0x10000) {
        if (expected > LAST_BLOCK && !dialect.rollsOver)
          return stop(`this stage cannot count past block ${LAST_BLOCK}`, received);
        blocks.push(packet.data);
        received += packet.data.length;
        expected += 1;
        acknowledge(packet.block);
        if (packet.data.length < blksize) break;
      } else if (packet.block === (expected - 1) % 0x10000) {
        acknowledge(packet.block); // what was acknowledged already is acknowledged again, since 2021-02
      }
    } else if (packet.kind === 'error') {
      return {
        kind: 'broken',
        size: received,
        answer: `error ${packet.code} "${packet.message}" amid the file`,
      };
    }
    const next = await nextPacket(transport, deadline, tid);
    if (!next) return silent(dialect, received);
    packet = next.packet;
  }
  if (size !== undefined && size !== received)
    return { kind: 'broken', size: received, answer: `tsize said ${size} bytes, ${received} came` };
  return { kind: 'read', bytes: Buffer.concat(blocks, received), answer };

  function acknowledge(block: number): void {
    transport.send(encodePacket({ kind: 'ack', block }), tid);
  }
}

/** Sends the RRQ, again every 2 s from the same port while nothing comes back (raspberrypi/rpi-eeprom#74). */
async function firstAnswer(
  path: string,
  dialect: TftpDialect,
  transport: TftpTransport,
  deadline: number,
): Promise<{ packet: TftpPacket; tid: number } | undefined> {
  const value = { tsize: '0', blksize: String(dialect.blksize) };
  const options = new Map(dialect.asks.map((name) => [name, value[name]]));
  const rrq = encodePacket({ kind: 'rrq', filename: path, mode: 'octet', options });
  while (performance.now() < deadline) {
    transport.send(rrq, 69);
    const resendAt = Math.min(performance.now() + RRQ_RESEND_MS * transport.timeScale, deadline);
    const answer = await nextPacket(transport, resendAt);
    if (answer) return answer;
  }
  return undefined;
}

/** The next well-formed packet, of transfer `tid` where it is known already. */
async function nextPacket(
  { inbox, server }: TftpTransport,
  until: number,
  tid?: number,
): Promise<{ packet: TftpPacket; tid: number } | undefined> {
  while (true) {
    const datagram = await inbox.next(until);
    if (!datagram) return undefined;
    if (datagram.source !== server || (tid !== undefined && datagram.port !== tid)) continue;
    try {
      return { packet: decodePacket(datagram.bytes), tid: datagram.port };
    } catch {
      // not TFTP: passed over
    }
  }
}

/** RFC 2347: only what was asked may come back; RFC 2348: a block size not above the one asked for. */
function faultOfOack(options: ReadonlyMap<string, string>, dialect: TftpDialect): string | undefined {
  const asked: readonly string[] = dialect.asks;
  const stranger = [...options.keys()].find((name) => !asked.includes(name));
  if (stranger !== undefined) return `the OACK has "${stranger}", which was not asked for`;
  const blksize = options.get('blksize');
  if (blksize !== undefined && !(Number(blksize) >= 8 && Number(blksize) <= dialect.blksize))
    return `the OACK has blksize ${blksize}, ${dialect.blksize} was asked for`;
  const tsize = options.get('tsize');
  if (tsize !== undefined && !/^\d+$/.test(tsize)) return `the OACK has tsize "${tsize}"`;
  return undefined;
}

function silent(dialect: TftpDialect, received: number): Fetched {
  const seconds = dialect.fileTimeoutMs / 1000;
  const answer =
    received === 0 ? `no answer in ${seconds} s` : `not finished after ${seconds} s, ${received} bytes came`;
  return { kind: 'silent', size: received, answer };
}
