import type { Server } from 'node:net';
import type { Ipv4 } from '../net/ipv4.ts';
import { oneAtATime } from './one-at-a-time.ts';
import type { WarningSink } from './warnings.ts';

/** Where to listen: an address of ours, and the interface that has it. */
export interface Listener {
  readonly interface: string;
  readonly address: Ipv4;
}

export interface ListenersOptions {
  /** Makes the server of an address, not listening yet. */
  readonly serverFor: (listener: Listener) => Server;
  readonly port: number;
  /** One that listens has failed. */
  readonly onError: (listener: Listener, error: Error) => void;
  /** What stands while it cannot listen there: a stable id, and the problem in words. */
  readonly describe: (listener: Listener, error: Error) => { readonly id: string; readonly text: string };
  readonly warnings: WarningSink;
}

const keyOf = ({ interface: name, address }: Listener): string => `${name} ${address}`;

/** TCP servers of one kind, one at each of our addresses, which follow the interfaces. */
export class Listeners {
  readonly #options: ListenersOptions;
  readonly #servers = new Map<string, Server>();
  readonly #troubled = new Set<string>();
  readonly #inTurn = oneAtATime();
  #isStopped = false;

  constructor(options: ListenersOptions) {
    this.#options = options;
  }

  /**
   * Listens at these addresses from now on and at no others; what runs at an address that is gone runs to its end. For one
   * where it cannot, a warning stands until a later call finds the address free.
   */
  listenAt(listeners: Iterable<Listener>): Promise<void> {
    const wanted = new Map([...listeners].map((listener) => [keyOf(listener), listener]));
    return this.#inTurn(() => this.#follow(wanted));
  }

  /** Accepts nothing more; resolves when the last connection is closed, which is the caller's to do. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const closed = [...this.#servers.values()].map(
      (server) => new Promise<void>((resolve) => server.close(() => resolve())),
    );
    this.#servers.clear();
    await Promise.all(closed);
  }

  async #follow(wanted: ReadonlyMap<string, Listener>): Promise<void> {
    if (this.#isStopped) return; // whoever follows the interfaces may come a moment late
    for (const [key, server] of this.#servers) {
      if (wanted.has(key)) continue;
      this.#servers.delete(key);
      server.close();
    }
    const over = new Set(this.#troubled);
    for (const [key, listener] of wanted) {
      if (this.#servers.has(key)) continue;
      await this.#open(listener).catch((error: Error) => {
        const { id, text } = this.#options.describe(listener, error);
        over.delete(id);
        this.#troubled.add(id);
        this.#options.warnings.raise(id, text);
      });
    }
    for (const id of over) {
      this.#troubled.delete(id);
      this.#options.warnings.clear(id);
    }
    if (this.#isStopped) for (const server of this.#servers.values()) server.close();
  }

  /** @throws Error when the address is taken, gone or not allowed. */
  async #open(listener: Listener): Promise<void> {
    const server = this.#options.serverFor(listener);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: listener.address, port: this.#options.port, exclusive: true }, () => {
        server.off('error', reject);
        resolve();
      });
    });
    server.on('error', (error) => this.#options.onError(listener, error));
    this.#servers.set(keyOf(listener), server);
  }
}
