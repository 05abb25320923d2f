import type { Socket } from 'node:dgram';
import type { Ipv4 } from '../net/ipv4.ts';

export interface Datagram {
  readonly bytes: Uint8Array;
  readonly source: Ipv4;
  readonly port: number;
}

/** More than this many unread datagrams are dropped, as a network card would. */
const ROOM = 256;

/** Datagrams to be awaited one by one, so that a client reads from top to bottom. */
export class Inbox {
  readonly #waiting: Datagram[] = [];
  #wake: (() => void) | undefined;

  static of(socket: Socket): Inbox {
    const inbox = new Inbox();
    socket.on('message', (bytes, { address, port }) => inbox.put({ bytes, source: address as Ipv4, port }));
    // Port or host unreachable: firmware has no notion of it, silence is what it sees.
    socket.on('error', () => {});
    return inbox;
  }

  put(datagram: Datagram): void {
    if (this.#waiting.length < ROOM) this.#waiting.push(datagram);
    this.#wake?.();
  }

  /** The next datagram, or `undefined` when none has come by `deadline` (of `performance.now()`). */
  async next(deadline: number): Promise<Datagram | undefined> {
    const left = deadline - performance.now();
    if (this.#waiting.length === 0 && left > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.ceil(left));
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = undefined;
    }
    return this.#waiting.shift();
  }
}
