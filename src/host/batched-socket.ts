import type dgram from 'node:dgram';
import { getSystemErrorMap } from 'node:util';
import { addressOfWord, addressWord } from '../net/address-word.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import { UdpReceiver, UdpSender } from './udp-batch.ts';

/** Longer than any message that is read; a longer datagram is shown as one byte more than fits, which no parser takes. */
const LARGEST = 4160;
/** Datagrams of one system call, and system calls before timers and other sockets have their turn. */
const BATCH = 64;
const MOST_BATCHES = 4;

type OnMessage = (bytes: Uint8Array, source: { address: string; port: number }) => void;
type OnSent = (error: Error | null) => void;

/**
 * A socket like dgram's for many small datagrams: when one has come, all that wait with it are read by one system call
 * (recvmmsg), and what was sent meanwhile leaves by another one (sendmmsg). The bytes of a message are overwritten once
 * its listener has returned.
 */
export class BatchedSocket {
  readonly #socket: dgram.Socket;
  readonly #receiver: UdpReceiver;
  readonly #sender: UdpSender;
  #onSent: OnSent[] = [];
  #isFlushing = false;
  #hasDrained = false;
  #isOpen = true;

  /** @param descriptor of `socket`, which becomes this one's own. */
  constructor(socket: dgram.Socket, descriptor: number) {
    this.#socket = socket;
    this.#receiver = new UdpReceiver(descriptor, { capacity: BATCH, size: LARGEST });
    this.#sender = new UdpSender(descriptor, { capacity: BATCH, parts: BATCH, room: BATCH * 2048 });
  }

  on(event: 'message', listener: OnMessage): this;
  on(event: 'error', listener: (error: Error) => void): this;
  on(event: 'message' | 'error', listener: OnMessage & ((error: Error) => void)): this {
    if (event === 'error') this.#socket.on('error', listener);
    else
      this.#socket.on('message', (bytes, source) => {
        listener(bytes, source);
        if (!this.#hasDrained) this.#drain(listener);
      });
    return this;
  }

  /** Leaves together with all that is sent before the next microtask. */
  send(bytes: Uint8Array, port: number, address: string, onSent: OnSent): void {
    if (!this.#isOpen) {
      onSent(new Error('the socket is closed'));
      return;
    }
    if (!this.#sender.fits(1, bytes.length)) this.#flush();
    this.#sender.begin(addressWord(address as Ipv4), port, this.#onSent.length);
    this.#sender.copy(bytes);
    this.#sender.end();
    this.#onSent.push(onSent);
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    queueMicrotask(() => {
      this.#isFlushing = false;
      this.#flush();
    });
  }

  close(onClosed: () => void): void {
    this.#flush();
    this.#isOpen = false;
    this.#socket.close(() => {
      this.#receiver.release();
      this.#sender.release();
      onClosed();
    });
  }

  /**
   * Once in a turn of the event loop: libuv reads on, datagram by datagram, for as long as there are any and 32 times at most,
   * and if each of them drained the socket, a flood would keep timers and the disk's answers out for seconds.
   */
  #drain(listener: OnMessage): void {
    this.#hasDrained = true;
    setImmediate(() => {
      this.#hasDrained = false;
    });
    for (let batch = 0; batch < MOST_BATCHES && this.#isOpen; batch++) {
      const count = this.#receiver.receive();
      for (let index = 0; index < count; index++) {
        const source = {
          address: addressOfWord(this.#receiver.address(index)),
          port: this.#receiver.port(index),
        };
        listener(this.#receiver.payload(index), source);
      }
      this.#flush();
      if (count < BATCH) return;
    }
  }

  #flush(): void {
    if (this.#onSent.length === 0 || !this.#isOpen) return;
    const onSent = this.#onSent;
    this.#onSent = [];
    const failed = new Map<number, Error>();
    this.#sender.flush((tag, errno) => failed.set(tag, systemError(errno)));
    for (const [tag, tell] of onSent.entries()) tell(failed.get(tag) ?? null);
  }
}

function systemError(errno: number): Error {
  const [code, text] = getSystemErrorMap().get(-errno) ?? [`errno ${errno}`, 'unknown error'];
  return new Error(`${code}: ${text}`);
}
