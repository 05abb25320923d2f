import { type Fetched, type TftpDialect, TftpFetch } from '../../src/sim/tftp-client.ts';
import type { Terms } from '../../src/tftp/negotiate.ts';
import { negotiate } from '../../src/tftp/negotiate.ts';
import { encodePacket } from '../../src/tftp/packet.ts';
import { outcome, Transfer } from '../../src/tftp/transfer.ts';
import { TFTP_TRANSFER } from './corpus.ts';
import { check, type Target } from './target.ts';

/** Whole conversations: an input is a list of events, so that what comes late meets what came before. */

const SIZE = 100_000_000; // block numbers turn over in it
const TERMS: readonly Terms[] = [
  {},
  { tsize: '0', blksize: '1468' },
  { blksize: '512', windowsize: '16' },
].map((asked) => negotiate(new Map(Object.entries(asked as Record<string, string>)), SIZE, 1468));

const DIALECT: TftpDialect = {
  ...{ stage: 'EEPROM', asks: ['tsize', 'blksize'], blksize: 1468, timeoutMs: 30_000, timeoutCovers: 'file' },
  ...{ rollsOver: false, needsOack: true, onSilence: 'fail', firstPort: 0, sendsChecksum: true, ttl: 64 },
};
const TID = 40_000;

export const TRANSFER_TARGETS: readonly Target[] = [
  {
    name: 'tftp-transfer',
    seeds: [
      Uint8Array.from({ length: 90 }, (_, index) => [0, 0, (index / 3) & 0xff][index % 3] as number),
      Uint8Array.from({ length: 90 }, (_, index) => [1, 0, (index * 5) & 0xff][index % 3] as number),
      Uint8Array.of(...Array(30).fill(253), ...Array(30).fill(255)),
    ],
    read(input) {
      for (const terms of TERMS) converse(terms, input);
    },
  },
  {
    name: 'sim-tftp',
    seeds: [
      conversation([
        encodePacket({
          kind: 'oack',
          options: new Map([
            ['tsize', '1469'],
            ['blksize', '1468'],
          ]),
        }),
        data(1, 1468),
        data(2, 1),
      ]),
      conversation([data(1, 512), data(2, 512), data(2, 512), data(3, 0)]),
      conversation(TFTP_TRANSFER.filter((each) => each.length < 256)),
    ],
    read(input) {
      for (const purpose of ['read', 'probe'] as const) hear(input, purpose);
    },
  },
];

/** Three bytes an event: the first says which, or how long nothing happens; the others are an ACK's number. */
function converse(terms: Terms, input: Uint8Array): void {
  let now = 1_000;
  const transfer = new Transfer(terms, SIZE);
  transfer.start(now);
  for (let at = 0; at + 2 < input.length; at += 3) {
    const kind = input[at] as number;
    const wire = ((input[at + 1] as number) << 8) | (input[at + 2] as number);
    const before = transfer.acked;
    now += kind % 16;
    const isTimeout = kind >= 240;
    if (isTimeout) now = Math.max(now, transfer.deadline);
    const isLockstep = terms.windowSize === 1;
    const isDuplicate = !isTimeout && ((wire - before) & 0xffff) === 0;
    const result = isTimeout ? transfer.expire(now) : transfer.acknowledge(wire, now);
    check(transfer.acked >= before && transfer.acked <= transfer.blocks, `acked ${transfer.acked}`);
    if (isLockstep && isDuplicate) check(result === outcome.nothing, 'a duplicate ACK is answered');
    if (result === outcome.progress || result === outcome.again) transfer.open(now, terms.windowSize);
    else if (result !== outcome.nothing) return;
    const inFlight = transfer.last - transfer.acked;
    check(inFlight >= 0 && inFlight <= Math.max(1, terms.windowSize), `${inFlight} blocks in flight`);
    check(transfer.deadline - now <= 256_000, `a wait of ${transfer.deadline - now} ms`);
  }
}

function hear(input: Uint8Array, purpose: 'read' | 'probe'): void {
  const ends: Fetched[] = [];
  let stored = 0;
  let sent = 0;
  const fetch = new TftpFetch({
    ...{ path: 'ab000004/kernel8.img', dialect: DIALECT, purpose, timeScale: 1 },
    send: () => {
      sent++;
    },
    sink: () => ({
      write(_bytes, _start, length) {
        stored += length;
        return undefined;
      },
      finish: () => new Uint8Array(stored),
    }),
    done: (fetched) => ends.push(fetched),
  });
  let heard = 0;
  for (let at = 0; at < input.length; heard++) {
    const length = Math.min(input[at] as number, input.length - at - 1);
    fetch.hear(input, at + 1, length, TID);
    at += 1 + length;
  }
  const over = encodePacket({ kind: 'error', code: 0, message: 'over' });
  fetch.hear(over, 0, over.length, TID);
  check(ends.length === 1, `it ended ${ends.length} times`);
  check(sent <= heard + 1, `${sent} answers to ${heard} datagrams`);
  check(stored <= input.length, `${stored} bytes stored of ${input.length}`);
}

/** Each datagram behind its length, 255 bytes at most. */
function conversation(datagrams: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(datagrams.flatMap((each) => [Math.min(255, each.length), ...each.subarray(0, 255)]));
}

function data(block: number, length: number): Uint8Array {
  return encodePacket({ kind: 'data', block, data: new Uint8Array(length) });
}
