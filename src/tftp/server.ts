import type dgram from 'node:dgram';
import { FILE_TIMEOUT_MS, isExpectedMiss } from '../boot/firmware.ts';
import type { OpenBootFile } from '../model/boot-file.ts';
import { lineBudget } from '../model/line-budget.ts';
import type { Log } from '../model/log.ts';
import { throttle } from '../model/throttle.ts';
import type { WarningSink } from '../model/warnings.ts';
import { addressWord } from '../net/address-word.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import { Admission } from './admission.ts';
import { type Counters, newCounters } from './counters.ts';
import type { Wake } from './engine-handle.ts';
import { EnginePool, type TransferSockets } from './engine-pool.ts';
import type { EngineReport, Outcome } from './engine-port.ts';
import { createErrorSocket, type ErrorSocket } from './error-socket.ts';
import { FileMemories, type HeldFile, type MemoryHost } from './file-memory.ts';
import { DEFAULT_LIMITS, engineLimits, type TftpLimits } from './limits.ts';
import { longFileWarning } from './long-file.ts';
import { negotiate } from './negotiate.ts';
import { errorCode } from './packet.ts';
import { decodeRequest, isSameRequest, type Request, refusalOf } from './request.ts';
import { type Peer, type Slot, Slots } from './slots.ts';

export interface TftpListener {
  readonly interface: string;
  /** Bound to the service port on this interface; {@link TftpServer.stop} closes it. */
  readonly socket: dgram.Socket;
}

export interface TftpServerOptions {
  readonly listeners: readonly TftpListener[];
  /** A UDP socket bound to any free port of the interface, for errors. */
  readonly openErrorSocket: (interfaceName: string) => Promise<dgram.Socket>;
  readonly engines: {
    /** The program of an engine's thread, and how many of them. */
    readonly entry: URL;
    readonly workers: number;
    readonly openWake: () => Wake;
    readonly transferSockets: TransferSockets;
    readonly memory: MemoryHost;
    /** Files that somebody may write to are mapped instead of copied when they are larger. */
    readonly maxCopyBytes?: number;
    /** How long an engine may do nothing before it counts as hanging; 10 s. */
    readonly stuckMs?: number;
  };
  /** Of the interface now, in bytes; 1500 unless known. Blocks are kept small enough not to be fragmented. */
  readonly mtuOf?: (interfaceName: string) => number | undefined;
  readonly openFile: OpenBootFile;
  readonly warnings: WarningSink;
  readonly log: Log;
  readonly limits?: Partial<TftpLimits>;
}

/** How the engines are doing. */
export interface TftpLoad {
  readonly workers: number;
  /** Large files that are sent at full speed, and those that wait for their turn. */
  readonly running: number;
  readonly waiting: number;
  readonly longestWaitMs: number;
  /** Of file data, over the last seconds. */
  readonly bytesPerSecond: number;
}

export interface TftpServer {
  counters(): Readonly<Record<keyof Counters, number>>;
  load(): TftpLoad;
  /** Transfers that run now, those whose file is still being opened included. */
  transfers(): number;
  /** Ends every transfer and closes every socket, the listeners too. */
  stop(): Promise<void>;
}

/** A request being answered: first its file is opened, then its transfer runs in an engine. */
interface Answering extends Slot {
  readonly listener: TftpListener;
  readonly request: Request;
  readonly arrivedAt: number;
  readonly deadline: NodeJS.Timeout;
  /** Set while an engine has it. */
  id?: number;
  file?: HeldFile;
}

/** Files that are being opened at the same time, clients in turn. */
const OPENINGS = 32;
const OPENINGS_PER_CLIENT = 4;
const DEFAULT_MTU = 1500;
const CROWDED = 'TFTP_CROWDED';
const CROWDED_TEXT =
  `large files wait more than ${FILE_TIMEOUT_MS / 1000} s for their turn, and a Pi 4 or 5 gives one up by then: ` +
  'more boot at the same time than the network carries';
const LOG_INTERVAL_MS = 10_000;
const TROUBLES_PER_SECOND = 20;
/** A rack of 200 that boots stays within it. */
const ANSWERS_PER_SECOND = 200;
const SWEEP_MS = 1000;
/** Of IPv4, UDP and a DATA packet. */
const HEADER_BYTES = 20 + 8 + 4;

/**
 * Serves boot files over TFTP: RFC 1350 with the options of RFC 2347, 2348, 2349 and 7440, reading only, octet mode
 * only. Requests are taken and files are opened here; the transfers run in engines, threads of their own.
 */
export function startTftpServer(options: TftpServerOptions): TftpServer {
  const { listeners, mtuOf, openFile, warnings, log } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const counters = newCounters();
  const slots = new Slots<Answering>(limits);
  const inEngine = new Map<number, Answering>();
  const openings = new Admission<Answering>(OPENINGS, OPENINGS_PER_CLIENT);
  const files = new FileMemories(options.engines.memory, Date.now, options.engines.maxCopyBytes);
  const errorSockets = new Map<TftpListener, ErrorSocket>();
  /** Every client that gives up is told of, but one that does nothing else must not fill the log. */
  const troubles = lineBudget(TROUBLES_PER_SECOND, Date.now);
  const answers = lineBudget(ANSWERS_PER_SECOND, Date.now);
  const busy = throttle(LOG_INTERVAL_MS, Date.now);
  const tooLong = throttle(LOG_INTERVAL_MS, Date.now);
  let isStopped = false;
  let lastId = 0;
  let measured = { at: performance.now(), bytes: 0, rate: 0 };

  const engines = new EnginePool({
    ...options.engines,
    limits: engineLimits(limits, options.engines.workers),
    warnings,
    log,
    onOver: (report) => finish(report),
    onAnswered: (id) => slots.answered(inEngine.get(id)),
  });

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
      if (running.id === undefined || engines.restart(running.id)) return;
    }
    // The client has given up the one before, or the engine that has it hangs.
    if (running) abandon(running);

    const refusal = refusalOf(request);
    if (refusal) {
      counters.refused += 1;
      const fields = { ...fieldsOf({ listener, peer, request }), id: 'TFTP_REFUSED' };
      answers((left) => log.info({ ...fields, left }, refusal.message));
      await answerError(listener, peer, refusal.code, refusal.message);
      return;
    }
    const evicted = slots.makeRoom(peer.address);
    if (evicted === 'full') {
      // Silence: firmware would take an ERROR for "no such file" and go on without it, but it asks again after 2 s.
      counters.busy += 1;
      busy((left) => {
        const fields = { ...fieldsOf({ listener, peer, request }), id: 'TFTP_BUSY', left };
        log.warn(fields, 'too many transfers are running: requests are left unanswered');
      });
      return;
    }
    if (evicted) {
      counters.timeouts += 1;
      abandon(evicted);
    }
    const address = addressWord(peer.address as Ipv4);
    const deadline = setTimeout(() => expire(slot), limits.transferMs).unref();
    const slot: Answering = { key, peer, address, listener, request, arrivedAt: Date.now(), deadline };
    slots.add(slot);
    openings.apply(slot);
    openNext();
  }

  function openNext(): void {
    for (let slot = openings.next(); slot; slot = openings.next()) {
      const opening = slot;
      void serve(opening)
        .catch((error) => giveUp(opening, error))
        .finally(() => {
          openings.withdraw(opening);
          openNext();
        });
    }
  }

  async function giveUp(slot: Answering, error: unknown): Promise<void> {
    counters.failed += 1;
    const fields = { ...fieldsOf(slot), id: 'TFTP_FAILED', err: error };
    troubles((left) => log.error({ ...fields, left }, 'cannot serve'));
    if (!slots.has(slot)) return;
    release(slot);
    await answerError(
      slot.listener,
      slot.peer,
      errorCode.undefined,
      'the appliance cannot serve this file now',
    );
  }

  async function serve(slot: Answering): Promise<void> {
    const { listener, peer, address, request } = slot;
    if (!slots.has(slot)) return;
    const client = { address: peer.address as Ipv4, interface: listener.interface };
    const file = await openFile(client, request.filename);
    if (file.kind === 'missing') {
      if (!slots.has(slot)) return; // an error now would end the client's newer request
      release(slot);
      counters.missed += 1;
      const fields = { ...fieldsOf(slot), id: 'TFTP_MISS' };
      if (isExpectedMiss(request.filename)) log.debug(fields, file.reason);
      else answers((left) => log.info({ ...fields, left }, file.reason));
      await answerError(listener, peer, errorCode.fileNotFound, file.reason);
      return;
    }
    const held = await files.hold(file);
    // While the file was opened, its client may have asked for another, or the server may have been stopped.
    if (!slots.has(slot)) {
      held.release();
      return;
    }
    const maxBlockSize = (mtuOf?.(listener.interface) ?? DEFAULT_MTU) - HEADER_BYTES;
    const terms = negotiate(request.options, file.size, maxBlockSize);
    warnOfRollOver(slot, file.size, terms.blockSize);
    lastId += 1;
    const order = { id: lastId, address, port: peer.port, terms, file: held.address, size: file.size };
    try {
      engines.start(listener.interface, order);
    } catch (error) {
      held.release();
      throw error;
    }
    slot.id = lastId;
    slot.file = held;
    inEngine.set(lastId, slot);
  }

  function warnOfRollOver(slot: Answering, size: number, blockSize: number): void {
    const warning = longFileWarning(size, slot.request.options.get('blksize'), blockSize);
    if (!warning) return;
    tooLong((left) => log.warn({ ...fieldsOf(slot), id: 'TFTP_LONG_FILE', size, blockSize, left }, warning));
  }

  /** The engine has ended it, by itself or because it was told to: now nothing points to the file any more. */
  function finish({ id, outcome }: Extract<EngineReport, { kind: 'over' }>): void {
    const slot = inEngine.get(id);
    if (!slot) return;
    inEngine.delete(id);
    slot.file?.release();
    release(slot);
    record(slot, outcome);
  }

  function release(slot: Answering): void {
    clearTimeout(slot.deadline);
    slots.delete(slot);
  }

  function abandon(slot: Answering, tell?: string): void {
    release(slot);
    if (slot.id !== undefined) engines.end(slot.id, tell);
  }

  function expire(slot: Answering): void {
    counters.timeouts += 1;
    log.warn({ ...fieldsOf(slot), id: 'TFTP_TIMEOUT' }, 'the transfer took too long');
    abandon(slot, 'the transfer took too long');
  }

  function record(slot: Answering, outcome: Outcome): void {
    const fields = { ...fieldsOf(slot), size: slot.file?.size, ms: Date.now() - slot.arrivedAt };
    switch (outcome.kind) {
      case 'completed':
        counters.completed += 1;
        log.info({ ...fields, id: 'TFTP_SENT' }, 'sent');
        return;
      case 'unconfirmed':
        counters.unconfirmed += 1;
        log.info(
          { ...fields, id: 'TFTP_UNCONFIRMED' },
          'sent, but the client did not say that the end arrived',
        );
        return;
      case 'early-terminated':
        counters.earlyTerminated += 1;
        log.debug({ ...fields, id: 'TFTP_PROBED' }, 'the client only looked');
        return;
      case 'timeout':
        counters.timeouts += 1;
        troubles((left) => log.warn({ ...fields, id: 'TFTP_TIMEOUT', left }, outcome.reason));
        return;
      case 'failed':
        counters.failed += 1;
        troubles((left) => log.warn({ ...fields, id: 'TFTP_FAILED', left }, outcome.reason));
    }
  }

  async function answerError(listener: TftpListener, peer: Peer, code: number, text: string): Promise<void> {
    if (!isStopped) await errorSockets.get(listener)?.send(peer, code, text);
  }

  async function sweep(): Promise<void> {
    const at = performance.now();
    const bytes = engines.sum('bytes');
    const rate = ((bytes - measured.bytes) * 1000) / (at - measured.at);
    measured = { at, bytes, rate };
    files.sweep();
    engines.watch();
    if (engines.most('longestWaitMs') > FILE_TIMEOUT_MS) warnings.raise(CROWDED, CROWDED_TEXT);
    else warnings.clear(CROWDED);
    for (const slot of inEngine.values()) {
      if (!slot.file || slot.file.isFirm || (await slot.file.isUnchanged())) continue;
      counters.failed += 1;
      log.warn({ ...fieldsOf(slot), id: 'TFTP_FAILED' }, 'the file was written to while it was sent');
      abandon(slot, 'the file was changed while it was read');
    }
  }

  for (const listener of listeners) {
    const { socket, interface: name } = listener;
    errorSockets.set(
      listener,
      createErrorSocket(() => options.openErrorSocket(name), socket),
    );
    socket.on('message', (bytes, from) => void receive(listener, bytes, from));
    socket.on('error', (error) =>
      log.error({ id: 'TFTP_SOCKET', interface: name, err: error }, 'socket failed'),
    );
  }
  const sweeping = setInterval(() => {
    sweep().catch((error) => log.error({ id: 'TFTP_SWEEP', err: error }, 'cannot look after the transfers'));
  }, SWEEP_MS).unref();

  return {
    counters: () => ({
      ...counters,
      bytes: engines.sum('bytes'),
      retransmissions: engines.sum('retransmissions'),
      strangers: engines.sum('strangers'),
      malformed: counters.malformed + engines.sum('malformed'),
      unsent: engines.sum('unsent'),
    }),
    load: () => ({
      workers: engines.size,
      running: engines.sum('running'),
      waiting: engines.sum('waiting'),
      longestWaitMs: Math.round(engines.most('longestWaitMs')),
      bytesPerSecond: Math.round(measured.rate),
    }),
    transfers: () => slots.size,
    async stop() {
      if (isStopped) return;
      isStopped = true;
      clearInterval(sweeping);
      for (const slot of slots.all()) release(slot);
      await Promise.all([
        engines.stop(),
        ...[...errorSockets.values()].map((errors) => errors.close()),
        ...listeners.map(
          (listener) => new Promise<void>((resolve) => listener.socket.close(() => resolve())),
        ),
      ]);
      for (const slot of inEngine.values()) slot.file?.release();
      inEngine.clear();
      files.sweep(0);
    },
  };
}

function fieldsOf({ listener, peer, request }: Pick<Answering, 'listener' | 'peer' | 'request'>): object {
  return {
    interface: listener.interface,
    client: peer.address,
    port: peer.port,
    path: request.filename,
  };
}
