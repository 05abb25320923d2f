import type dgram from 'node:dgram';
import type { OpenBootFile } from '../model/boot-file.ts';
import type { Log } from '../model/log.ts';
import { throttle } from '../model/throttle.ts';
import { WireError } from '../net/bytes.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import { type Counters, newCounters } from './counters.ts';
import { createErrorSocket, type ErrorSocket } from './error-socket.ts';
import { negotiate } from './negotiate.ts';
import { decodePacket, errorCode, type TftpPacket } from './packet.ts';
import { type Outcome, type Peer, Session } from './session.ts';

export interface TftpListener {
  readonly interface: string;
  /** Bound to the service port on this interface; {@link TftpServer.stop} closes it. */
  readonly socket: dgram.Socket;
}

export interface TftpLimits {
  readonly transfers: number;
  readonly transfersPerClient: number;
  /** From the request to the last ACK; no transfer lives longer. */
  readonly transferMs: number;
}

export interface TftpServerOptions {
  readonly listeners: readonly TftpListener[];
  /** A UDP socket bound to any free port of the interface. */
  readonly openTransferSocket: (interfaceName: string) => Promise<dgram.Socket>;
  /** Of the interface now, in bytes; 1500 unless known. Blocks are kept small enough not to be fragmented. */
  readonly mtuOf?: (interfaceName: string) => number | undefined;
  readonly openFile: OpenBootFile;
  readonly log: Log;
  readonly limits?: Partial<TftpLimits>;
}

export interface TftpServer {
  counters(): Readonly<Record<keyof Counters, number>>;
  /** Transfers that run now, those whose file is still being opened included. */
  transfers(): number;
  /** Ends every transfer and closes every socket, the listeners too. */
  stop(): Promise<void>;
}

type Request = Extract<TftpPacket, { kind: 'rrq' | 'wrq' }>;

/** A request being answered: first its file is opened, then its session runs. */
interface Slot {
  readonly key: string;
  readonly listener: TftpListener;
  readonly peer: Peer;
  readonly request: Request;
  readonly arrivedAt: number;
  readonly deadline: NodeJS.Timeout;
  session?: Session;
}

const DEFAULT_LIMITS: TftpLimits = { transfers: 512, transfersPerClient: 64, transferMs: 15 * 60_000 };
const DEFAULT_MTU = 1500;
const BUSY_LOG_INTERVAL_MS = 10_000;
/** Of IPv4, UDP and a DATA packet. */
const HEADER_BYTES = 20 + 8 + 4;

/**
 * Serves boot files over TFTP: RFC 1350 with the options of RFC 2347, 2348 and 2349, reading only, octet mode only.
 * Each transfer has a socket of its own.
 */
export function startTftpServer(options: TftpServerOptions): TftpServer {
  const { listeners, openTransferSocket, mtuOf, openFile, log } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const counters = newCounters();
  /** By interface, client address and client TID: what one client port waits for. */
  const slots = new Map<string, Slot>();
  const errorSockets = new Map<TftpListener, ErrorSocket>();
  const busy = throttle(BUSY_LOG_INTERVAL_MS, Date.now);
  let isStopped = false;

  async function receive(listener: TftpListener, bytes: Uint8Array, peer: Peer): Promise<void> {
    const request = decodeRequest(bytes);
    // Nothing is answered to what is no request: a forged sender would be hit by it. Nobody has port 0.
    if (!request || peer.port === 0) {
      counters.malformed += 1;
      return;
    }
    counters.requests += 1;
    const key = `${listener.interface} ${peer.address}:${peer.port}`;
    const running = slots.get(key);
    if (running && isSameRequest(running.request, request)) {
      running.session?.restart();
      return;
    }
    // Another request from the same port: the client has given up the one before.
    if (running) void abandon(running);

    const refusal = refusalOf(request);
    if (refusal) {
      counters.refused += 1;
      log.info({ ...fieldsOf({ listener, peer, request }), id: 'TFTP_REFUSED' }, refusal.message);
      await answerError(listener, peer, refusal.code, refusal.message);
      return;
    }
    if (!makeRoom(peer)) {
      // Silence: firmware would take an ERROR for "no such file" and go on without it, but it asks again after 2 s.
      counters.busy += 1;
      busy((left) => {
        const fields = { ...fieldsOf({ listener, peer, request }), id: 'TFTP_BUSY', left };
        log.warn(fields, 'too many transfers are running: requests are left unanswered');
      });
      return;
    }
    const deadline = setTimeout(
      () => (slot.session ? slot.session.expire() : release(slot)),
      limits.transferMs,
    );
    const slot: Slot = { key, listener, peer, request, arrivedAt: Date.now(), deadline };
    slots.set(key, slot);
    await serve(slot).catch(async (error) => {
      counters.failed += 1;
      log.error({ ...fieldsOf(slot), id: 'TFTP_FAILED', err: error }, 'cannot serve');
      if (!isCurrent(slot)) return;
      release(slot);
      await answerError(listener, peer, errorCode.undefined, 'the appliance cannot serve this file now');
    });
  }

  function refusalOf(request: Request): { code: number; message: string } | undefined {
    if (request.kind === 'wrq') {
      return { code: errorCode.accessViolation, message: 'this server is read-only: nothing can be written' };
    }
    if (request.mode !== 'octet') {
      const message = `mode "${request.mode.slice(0, 32)}" is not served: use octet (binary)`;
      return { code: errorCode.illegalOperation, message };
    }
    return undefined;
  }

  /**
   * Whether one more transfer of this client fits the limits, if need be in the place of the oldest that was never
   * acknowledged: its client is forged or gone. A real one acknowledges within milliseconds, or asks again.
   */
  function makeRoom(peer: Peer): boolean {
    const all = [...slots.values()];
    const ofClient = all.filter((slot) => slot.peer.address === peer.address);
    const isClientFull = ofClient.length >= limits.transfersPerClient;
    if (!isClientFull && all.length < limits.transfers) return true;
    const silent = (isClientFull ? ofClient : all).find((slot) => slot.session?.isUnacknowledged);
    if (!silent) return false;
    counters.timeouts += 1;
    void abandon(silent);
    return true;
  }

  async function serve(slot: Slot): Promise<void> {
    const { listener, peer, request } = slot;
    const client = { address: peer.address as Ipv4, interface: listener.interface };
    const file = await openFile(client, request.filename);
    if (file.kind === 'missing') {
      if (!isCurrent(slot)) return; // an error now would end the client's newer request
      release(slot);
      counters.missed += 1;
      log.info({ ...fieldsOf(slot), id: 'TFTP_MISS' }, file.reason);
      await answerError(listener, peer, errorCode.fileNotFound, file.reason);
      return;
    }
    let socket: dgram.Socket;
    try {
      socket = await openTransferSocket(listener.interface);
    } catch (error) {
      await file.close();
      throw error;
    }
    // While the file was opened, its client may have asked for another, or the server may have been stopped.
    if (!isCurrent(slot)) {
      socket.close();
      await file.close();
      return;
    }
    const maxBlockSize = (mtuOf?.(listener.interface) ?? DEFAULT_MTU) - HEADER_BYTES;
    const terms = negotiate(request.options, file.size, maxBlockSize);
    const onOver = (outcome: Outcome) => {
      release(slot);
      record(slot, outcome, file.size);
    };
    slot.session = new Session({ socket, peer, file, terms, counters, onOver });
  }

  function isCurrent(slot: Slot): boolean {
    return slots.get(slot.key) === slot;
  }

  function release(slot: Slot): void {
    clearTimeout(slot.deadline);
    if (isCurrent(slot)) slots.delete(slot.key);
  }

  async function abandon(slot: Slot): Promise<void> {
    release(slot);
    await slot.session?.end();
  }

  function record(slot: Slot, outcome: Outcome, size: number): void {
    const fields = { ...fieldsOf(slot), size, ms: Date.now() - slot.arrivedAt };
    switch (outcome.kind) {
      case 'completed':
        counters.completed += 1;
        log.info({ ...fields, id: 'TFTP_SENT' }, 'sent');
        return;
      case 'early-terminated':
        counters.earlyTerminated += 1;
        log.debug({ ...fields, id: 'TFTP_PROBED' }, 'the client only looked');
        return;
      case 'timeout':
        counters.timeouts += 1;
        log.warn({ ...fields, id: 'TFTP_TIMEOUT' }, outcome.reason);
        return;
      case 'failed':
        counters.failed += 1;
        log.warn({ ...fields, id: 'TFTP_FAILED' }, outcome.reason);
    }
  }

  async function answerError(listener: TftpListener, peer: Peer, code: number, text: string): Promise<void> {
    if (!isStopped) await errorSockets.get(listener)?.send(peer, code, text);
  }

  for (const listener of listeners) {
    const { socket, interface: name } = listener;
    errorSockets.set(
      listener,
      createErrorSocket(() => openTransferSocket(name), socket),
    );
    socket.on('message', (bytes, from) => void receive(listener, bytes, from));
    socket.on('error', (error) =>
      log.error({ id: 'TFTP_SOCKET', interface: name, err: error }, 'socket failed'),
    );
  }

  return {
    counters: () => ({ ...counters }),
    transfers: () => slots.size,
    async stop() {
      if (isStopped) return;
      isStopped = true;
      await Promise.all([
        ...[...slots.values()].map(abandon),
        ...[...errorSockets.values()].map((errors) => errors.close()),
        ...listeners.map(
          (listener) => new Promise<void>((resolve) => listener.socket.close(() => resolve())),
        ),
      ]);
    },
  };
}

/** `undefined` for whatever does not open a transfer, decodable or not. */
function decodeRequest(bytes: Uint8Array): Request | undefined {
  try {
    const packet = decodePacket(bytes);
    return packet.kind === 'rrq' || packet.kind === 'wrq' ? packet : undefined;
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

function isSameRequest(one: Request, other: Request): boolean {
  const text = ({ kind, filename, mode, options }: Request) =>
    JSON.stringify([kind, filename, mode, ...options]);
  return text(one) === text(other);
}

function fieldsOf({ listener, peer, request }: Pick<Slot, 'listener' | 'peer' | 'request'>): object {
  return {
    interface: listener.interface,
    client: peer.address,
    port: peer.port,
    path: request.filename,
  };
}
