import type dgram from 'node:dgram';
import type { BootFile } from '../model/boot-file.ts';
import { WireError } from '../net/bytes.ts';
import type { Counters } from './counters.ts';
import type { Terms } from './negotiate.ts';
import { decodePacket, encodeDataHeader, encodePacket, errorCode } from './packet.ts';
import { ReadAhead } from './read-ahead.ts';
import {
  isUnacknowledged,
  start,
  step,
  type TransferEffect,
  type TransferEvent,
  wireBlock,
} from './transfer.ts';

/** The client's end of a transfer: its address and its TID. */
export interface Peer {
  readonly address: string;
  readonly port: number;
}

export interface SessionOptions {
  /** The transfer's own socket: its port is our TID (RFC 1350 section 4). The session closes it. */
  readonly socket: dgram.Socket;
  readonly peer: Peer;
  /** The session closes it. */
  readonly file: BootFile;
  readonly terms: Terms;
  readonly counters: Counters;
  /** Called once, unless the session was ended from outside. */
  readonly onOver: (outcome: Outcome) => void;
}

export type Outcome =
  | { readonly kind: 'completed' }
  | { readonly kind: 'early-terminated' }
  | { readonly kind: 'timeout' | 'failed'; readonly reason: string };

/** Drives one {@link start | transfer}: its socket, its timer and its file. */
export class Session {
  readonly #options: SessionOptions;
  readonly #blocks: ReadAhead;
  #state;
  #timer: NodeJS.Timeout | undefined;
  #timerMs = 0;
  /** Set once the transfer is over; resolves when nothing of it is left open. */
  #closed: Promise<void> | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#blocks = new ReadAhead(options.file, options.terms.blockSize);
    const first = start(options.terms, options.file.size);
    this.#state = first.state;
    options.socket.on('message', (bytes, from) => this.#receive(bytes, from));
    options.socket.on('error', (error) => this.#fail(error));
    this.#apply(first.effects);
  }

  /**
   * The client sent its request again: our first answer was lost, or it was switched off and on. It is answered from
   * the same TID, so that a client which did hear the first answer is not confused by a second server port.
   */
  restart(): void {
    if (this.#closed) return;
    const first = start(this.#options.terms, this.#options.file.size);
    this.#state = first.state;
    this.#apply(first.effects);
  }

  /** The client has sent nothing since its request. */
  get isUnacknowledged(): boolean {
    return isUnacknowledged(this.#state);
  }

  /** The transfer as a whole took too long. */
  expire(): void {
    this.#step({ kind: 'expired' });
  }

  /** Ends the transfer without a word to anybody. Resolves when the socket and the file are closed. */
  end(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  #receive(bytes: Uint8Array, from: Peer): void {
    const { peer, counters } = this.#options;
    try {
      const packet = decodePacket(bytes);
      if (from.port !== peer.port || from.address !== peer.address) {
        counters.strangers += 1;
        // RFC 1350 section 4: the stranger is told, the transfer goes on. An ERROR is never answered by an ERROR.
        if (packet.kind !== 'error' && from.port !== 0 && !this.#closed) {
          void this.#send([errorPacket(errorCode.unknownTid, 'unknown transfer ID')], from);
        }
      } else if (packet.kind === 'ack' || packet.kind === 'error') {
        this.#step(packet);
      } else {
        counters.malformed += 1;
      }
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      counters.malformed += 1;
    }
  }

  #step(event: TransferEvent): void {
    if (this.#closed) return;
    const { state, effects } = step(this.#state, event);
    this.#state = state;
    this.#apply(effects);
  }

  #apply(effects: readonly TransferEffect[]): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case 'send-oack':
          void this.#send([
            encodePacket({
              kind: 'oack',
              options: this.#options.terms.accepted ?? new Map<string, string>(),
            }),
          ]);
          break;
        case 'send-block':
          this.#sendBlock(effect.block);
          break;
        case 'set-timer':
          this.#setTimer(effect.ms);
          break;
        case 'finish':
          this.#over({ kind: effect.outcome });
          break;
        case 'fail':
          this.#over(
            { kind: effect.cause === 'timeout' ? 'timeout' : 'failed', reason: effect.reason },
            effect.tell,
          );
          break;
      }
    }
  }

  #sendBlock(block: number): void {
    const bytes = this.#blocks.block(block);
    if (bytes instanceof Uint8Array) this.#sendData(block, bytes);
    else
      bytes.then(
        (read) => this.#sendData(block, read),
        (error) => this.#fail(error),
      );
  }

  #sendData(block: number, data: Uint8Array): void {
    if (this.#closed) return;
    this.#options.counters.bytes += data.length;
    void this.#send([encodeDataHeader(wireBlock(block)), data]);
  }

  /**
   * Resolves when the datagram is with the kernel. One that cannot be sent now (no route, no buffers) is one that
   * got lost: the timer sends it again.
   */
  #send(parts: readonly Uint8Array[], to: Peer = this.#options.peer): Promise<void> {
    return new Promise((resolve) => this.#options.socket.send(parts, to.port, to.address, () => resolve()));
  }

  /** Nearly every timer is the same one again: refreshing it costs far less than a new one per block. */
  #setTimer(ms: number): void {
    if (this.#timer && ms === this.#timerMs) {
      this.#timer.refresh();
      return;
    }
    clearTimeout(this.#timer);
    this.#timerMs = ms;
    this.#timer = setTimeout(() => this.#step({ kind: 'timeout' }), ms);
  }

  #fail(error: Error): void {
    const message = 'the appliance cannot read this file any more';
    this.#over({ kind: 'failed', reason: error.message }, { code: errorCode.undefined, message });
  }

  #over(outcome: Outcome, tell?: { code: number; message: string }): void {
    if (this.#closed) return;
    this.#closed = this.#close(tell);
    this.#options.onOver(outcome);
  }

  async #close(tell?: { code: number; message: string }): Promise<void> {
    clearTimeout(this.#timer);
    const { socket, file } = this.#options;
    // A socket closed in the same tick would drop the datagram.
    if (tell) await this.#send([errorPacket(tell.code, tell.message)]);
    await Promise.all([
      new Promise<void>((resolve) => socket.close(() => resolve())),
      file.close().catch(() => {}), // it was only read: nothing is lost
    ]);
  }
}

function errorPacket(code: number, message: string): Uint8Array {
  return encodePacket({ kind: 'error', code, message });
}
