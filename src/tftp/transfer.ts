import type { Terms } from './negotiate.ts';
import { errorCode } from './packet.ts';

/**
 * One read transfer as a state machine: an event in, the next state and effects out. It knows no socket, no clock and
 * no file; whoever drives it has the block's bytes. Blocks are counted from 1 without wrapping, and the OACK is
 * block 0, as its ACK says; {@link wireBlock} gives the 16 bits that go on the wire.
 */
export interface TransferState {
  readonly terms: Terms;
  /** Blocks of the file; the last is shorter than the block size, so a multiple of it ends in an empty block. */
  readonly blocks: number;
  /** The last block known to have arrived; -1 while the OACK is not acknowledged. */
  readonly acked: number;
  /** The last block that was sent. */
  readonly sent: number;
  /** Timeouts since the last progress. */
  readonly tries: number;
}

export type TransferEvent =
  | { readonly kind: 'ack'; readonly block: number }
  | { readonly kind: 'error'; readonly code: number; readonly message: string }
  /** The timer that was set last ran out. */
  | { readonly kind: 'timeout' }
  /** The time for the transfer as a whole ran out. */
  | { readonly kind: 'expired' };

export type TransferEffect =
  | { readonly kind: 'send-oack' }
  | { readonly kind: 'send-block'; readonly block: number }
  /** Replaces the timer that was set before. */
  | { readonly kind: 'set-timer'; readonly ms: number }
  | { readonly kind: 'finish'; readonly outcome: 'completed' | 'early-terminated' }
  /** `tell`: the ERROR to send the client, unless it was the client that gave up. */
  | {
      readonly kind: 'fail';
      readonly cause: 'timeout' | 'client';
      readonly reason: string;
      readonly tell?: { readonly code: number; readonly message: string };
    };

export interface Step {
  readonly state: TransferState;
  readonly effects: readonly TransferEffect[];
}

/** Retransmissions of one block before the client is taken for gone. */
const MAX_TRIES = 5;
/** The longest wait that backing off leads to; a Pi 4 or 5 gives up a file after 30 s (TFTP_FILE_TIMEOUT). */
const MAX_BACKOFF_MS = 4000;

export function wireBlock(block: number): number {
  return block & 0xffff; // 65535 is followed by 0, as EEPROMs since 2025-09-23 and dnsmasq have it
}

/** Answers the request: with the OACK, or with DATA 1 when no option was accepted. */
export function start(terms: Terms, size: number): Step {
  const acked = terms.accepted ? -1 : 0;
  const blocks = Math.floor(size / terms.blockSize) + 1;
  return send({ terms, blocks, acked, sent: acked, tries: 0 });
}

/** Neither the OACK nor DATA 1 is known to have arrived. */
export function isUnacknowledged({ terms, acked }: TransferState): boolean {
  return acked === (terms.accepted ? -1 : 0);
}

export function step(state: TransferState, event: TransferEvent): Step {
  switch (event.kind) {
    case 'ack': {
      const progress = (event.block - state.acked) & 0xffff;
      // RFC 1123 section 4.2.3.1: a duplicate ACK is never answered, or every block is sent twice from here to the
      // end (the Sorcerer's Apprentice). The Pi 4 acknowledges old blocks again since 2021.
      if (progress === 0 || progress > state.sent - state.acked) return { state, effects: [] };
      const acked = state.acked + progress;
      if (acked < state.blocks) return send({ ...state, acked, tries: 0 });
      return { state: { ...state, acked }, effects: [{ kind: 'finish', outcome: 'completed' }] };
    }
    case 'timeout':
      if (state.tries >= MAX_TRIES) return give(state, `no answer to block ${state.acked + 1}`);
      return send({ ...state, tries: state.tries + 1 });
    case 'expired':
      return give(state, 'the transfer took too long');
    case 'error': {
      // A Pi asks whether a file exists by starting to read it and sending ERROR 0 "Early terminate"; others refuse
      // the OACK with ERROR 8 once they have seen tsize. Both got what they wanted.
      if (event.code === errorCode.undefined || event.code === errorCode.optionsRefused) {
        return { state, effects: [{ kind: 'finish', outcome: 'early-terminated' }] };
      }
      const reason = `the client sent error ${event.code} ${JSON.stringify(event.message)}`;
      return { state, effects: [{ kind: 'fail', cause: 'client', reason }] };
    }
  }
}

/** Sends everything the window has room for, from the first block that is not acknowledged. */
function send(state: TransferState): Step {
  const { terms, acked, blocks, tries } = state;
  const sent = acked < 0 ? 0 : Math.min(acked + terms.windowSize, blocks);
  const effects: TransferEffect[] = [];
  for (let block = acked + 1; block <= sent; block += 1) {
    effects.push(block === 0 ? { kind: 'send-oack' } : { kind: 'send-block', block });
  }
  const backoff = Math.min(terms.timeoutMs * 2 ** tries, MAX_BACKOFF_MS);
  effects.push({ kind: 'set-timer', ms: Math.max(terms.timeoutMs, backoff) });
  return { state: { ...state, sent }, effects };
}

function give(state: TransferState, reason: string): Step {
  const tell = { code: errorCode.undefined, message: reason };
  return { state, effects: [{ kind: 'fail', cause: 'timeout', reason, tell }] };
}
