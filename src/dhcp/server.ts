import type dgram from 'node:dgram';
import type { BootView } from '../model/boot-view.ts';
import type { Instant, LeaseChange, LeaseReader } from '../model/lease.ts';
import type { Log } from '../model/log.ts';
import type { Sighting } from '../model/sighting.ts';
import { throttle } from '../model/throttle.ts';
import { WireError } from '../net/bytes.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import { decide } from './decide.ts';
import type { Arrival, Decision, Endpoint, Reply } from './decision.ts';
import { type DhcpMessage, decodeMessage, encodeMessage } from './packet.ts';

export interface DhcpSocket {
  readonly interface: string;
  readonly port: 67 | 4011;
  readonly socket: dgram.Socket;
}

export interface DhcpServerOptions {
  /** Bound sockets, one for each interface and port. They become the server's own: `stop` closes them. */
  readonly sockets: readonly DhcpSocket[];
  readonly view: () => BootView;
  readonly leases: LeaseReader;
  /**
   * Applies the changes to `leases` before it returns, and resolves when they are durable. `decide` is synchronous
   * and so is the first half of this call: no second message is decided on between the two, and one address
   * cannot be given to two clients while the disk is busy.
   */
  readonly commit: (changes: readonly LeaseChange[]) => Promise<void>;
  readonly onSighting: (sighting: Sighting) => void;
  readonly log: Log;
  readonly now: () => Instant;
  /** How a reply leaves; by default by the socket that the message came in by. */
  readonly send?: (socket: dgram.Socket, bytes: Uint8Array, destination: Endpoint) => Promise<void>;
}

export interface DhcpServer {
  /** What was received, answered and dropped since the start. */
  counters(): Readonly<Record<string, number>>;
  /** Answers nothing more, waits for the commits under way and closes the sockets. */
  stop(): Promise<void>;
}

/** Replies being committed or delayed at one time. Clients ask again, so what is beyond may be dropped. */
const MAX_PENDING = 1024;
const GARBAGE_LOG_INTERVAL_MS = 10_000;
/** A warning about a client comes again with each of its tries. */
const WARNING_INTERVAL_MS = 1000;

/** Joins sockets, codec, policy and lease table. Nothing that a datagram holds can stop it or delay another's reply. */
export function startDhcpServer(options: DhcpServerOptions): DhcpServer {
  const { log, now } = options;
  const send = options.send ?? sendDatagram;
  const counts = {
    received: 0,
    malformed: 0,
    ignored: 0,
    silent: 0,
    offer: 0,
    ack: 0,
    nak: 0,
    overload: 0,
    commitFailed: 0,
    sendFailed: 0,
    internalError: 0,
    socketError: 0,
  };
  const pending = new Set<Promise<void>>();
  const stopped = new AbortController();
  const garbage = throttle(GARBAGE_LOG_INTERVAL_MS, now);
  const repeatedWarning = throttle(WARNING_INTERVAL_MS, now);

  function receive(from: DhcpSocket, bytes: Uint8Array, source: Endpoint): void {
    if (stopped.signal.aborted) return;
    counts.received++;
    const arrival: Arrival = { interface: from.interface, source, localPort: from.port };
    try {
      const message = decodeMessage(bytes);
      const decision = decide(message, arrival, options.view(), options.leases, now());
      carryOut(decision, message, from);
    } catch (error) {
      if (error instanceof WireError) dropGarbage(arrival, error);
      else fail('internalError', 'DHCP_INTERNAL', arrival, error, 'a message could not be decided on');
    }
  }

  function carryOut(decision: Decision, message: DhcpMessage, from: DhcpSocket): void {
    const fields = { interface: from.interface, mac: message.chaddr };
    if (decision.sighting) options.onSighting(decision.sighting);
    if (decision.warning) warn(decision.warning, decision.kind, fields);
    if (decision.kind === 'ignore') {
      counts.ignored++;
      log.debug({ id: 'DHCP_IGNORE', ...fields }, decision.reason);
      return;
    }
    if (pending.size >= MAX_PENDING) {
      counts.overload++;
      warn(`${MAX_PENDING} replies are pending: is the disk slow?`, 'ignore', fields);
      return;
    }
    // Called here and not after an await: see `commit`.
    const committed = decision.leaseChanges.length > 0 ? options.commit(decision.leaseChanges) : undefined;
    const task = finish(decision, committed, from, fields).finally(() => pending.delete(task));
    pending.add(task);
  }

  async function finish(
    decision: Exclude<Decision, { kind: 'ignore' }>,
    committed: Promise<void> | undefined,
    from: DhcpSocket,
    fields: object,
  ): Promise<void> {
    try {
      await committed;
    } catch (error) {
      const what = 'the lease could not be stored, so the client is not answered';
      fail('commitFailed', 'DHCP_COMMIT_FAILED', fields, error, what);
      return;
    }
    if (decision.kind === 'reply') return answer(decision, from, fields);
    counts.silent++;
    log.info({ id: 'DHCP_SILENT', ...fields }, decision.reason);
  }

  async function answer(reply: Reply, { socket }: DhcpSocket, fields: object): Promise<void> {
    try {
      if (reply.delayMs > 0) await pause(reply.delayMs, stopped.signal);
      if (stopped.signal.aborted) return;
      await send(socket, encodeMessage(reply.message), reply.destination);
    } catch (error) {
      fail('sendFailed', 'DHCP_SEND_FAILED', fields, error, `the ${reply.type} could not be sent`);
      return;
    }
    counts[reply.type]++;
    const id = `DHCP_${reply.type.toUpperCase()}`;
    log.info({ id, ...fields, address: reply.message.yiaddr }, reply.note);
  }

  /** A change of the leases is told once and is always written; what comes with each try is not. */
  function warn(warning: string, kind: Decision['kind'], fields: object): void {
    if (kind === 'silent') log.warn({ id: 'DHCP_WARNING', ...fields }, warning);
    else repeatedWarning((left) => log.warn({ id: 'DHCP_WARNING', ...fields, left }, warning));
  }

  function dropGarbage(arrival: Arrival, error: WireError): void {
    counts.malformed++;
    garbage((left) => {
      const fields = { id: 'DHCP_MALFORMED', interface: arrival.interface, source: arrival.source, left };
      log.warn(fields, `dropped a datagram that is no DHCP message: ${error.message}`);
    });
  }

  function fail(
    counter: keyof typeof counts,
    id: string,
    fields: object,
    error: unknown,
    what: string,
  ): void {
    counts[counter]++;
    const cause = error instanceof Error ? error.message : String(error);
    log.error({ ...fields, id, err: error }, `${what}: ${cause}`);
  }

  for (const each of options.sockets) {
    each.socket.on('message', (bytes, { address, port }) =>
      receive(each, bytes, { address: address as Ipv4, port }),
    );
    // An interface that goes down is an error of its socket, which works again when the interface is back.
    each.socket.on('error', (error) =>
      fail(
        'socketError',
        'DHCP_SOCKET',
        { interface: each.interface, port: each.port },
        error,
        'socket error',
      ),
    );
  }

  return {
    counters: () => ({ ...counts }),
    async stop() {
      stopped.abort();
      await Promise.all(pending);
      await Promise.all(options.sockets.map(({ socket }) => close(socket)));
    },
  };
}

function sendDatagram(socket: dgram.Socket, bytes: Uint8Array, { port, address }: Endpoint): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(bytes, port, address, (error) => (error ? reject(error) : resolve()));
  });
}

function close(socket: dgram.Socket): Promise<void> {
  return new Promise((resolve) => socket.close(resolve));
}

/** Ends early, without an error, when `signal` is aborted. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done, { once: true });
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
  });
}
