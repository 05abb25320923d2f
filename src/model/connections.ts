import type { Socket } from 'node:net';

/** The connections of one client, and when each was last in use. */
type OfClient = Map<Socket, number>;

/**
 * The open connections: so many for all clients together, and so many for each. A client that asks for one when all are
 * taken gets the idlest of the client that holds most, as long as it holds fewer itself: a few clients that hold on to
 * all they may have keep nobody else out.
 */
export class Connections {
  readonly #ofClients = new Map<string, OfClient>();
  readonly #limits: { readonly connections: number; readonly connectionsPerClient: number };
  readonly #now: () => number;
  #count = 0;

  constructor(
    limits: { readonly connections: number; readonly connectionsPerClient: number },
    now: () => number,
  ) {
    this.#limits = limits;
    this.#now = now;
  }

  /** @returns the connection that is one too many and has to be closed: this one, or another one for its sake. */
  add(client: string, socket: Socket): Socket | undefined {
    const ofClient: OfClient = this.#ofClients.get(client) ?? new Map();
    if (ofClient.size >= this.#limits.connectionsPerClient) return socket;
    let evicted: Socket | undefined;
    if (this.#count >= this.#limits.connections) {
      const [greediest, held] = this.#greediest();
      if (held.size <= ofClient.size) return socket;
      evicted = idlestOf(held);
      this.delete(greediest, evicted);
    }
    this.#ofClients.set(client, ofClient.set(socket, this.#now()));
    this.#count += 1;
    return evicted;
  }

  /** A request came by it, or a part of a file left. */
  touch(client: string, socket: Socket): void {
    const ofClient = this.#ofClients.get(client);
    if (ofClient?.has(socket)) ofClient.set(socket, this.#now());
  }

  delete(client: string, socket: Socket): void {
    const ofClient = this.#ofClients.get(client);
    if (!ofClient?.delete(socket)) return;
    this.#count -= 1;
    if (ofClient.size === 0) this.#ofClients.delete(client);
  }

  all(): Socket[] {
    return [...this.#ofClients.values()].flatMap((ofClient) => [...ofClient.keys()]);
  }

  /** Who holds most of them: there are some. */
  #greediest(): [client: string, held: OfClient] {
    return [...this.#ofClients].reduce((most, each) => (each[1].size > most[1].size ? each : most));
  }
}

function idlestOf(held: OfClient): Socket {
  const [idlest] = [...held].reduce((least, each) => (each[1] < least[1] ? each : least));
  return idlest;
}
