import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { Connections } from '../model/connections.ts';
import { lineBudget } from '../model/line-budget.ts';
import { type Listener, Listeners } from '../model/listeners.ts';
import type { Log } from '../model/log.ts';
import type { Sender } from '../model/report.ts';
import type { WarningSink } from '../model/warnings.ts';
import { WireError } from '../net/bytes.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import { newReportCounters, type ReportCounters } from './counters.ts';
import type { ReportDesk } from './desk.ts';
import { isSameMac, MAC_HEADER, macOfAnswer, macOfRequest } from './mac.ts';
import { IDENTITY_PATH, MOST_REQUEST_BYTES, REPORT_PATH } from './message.ts';
import { parseIdentityRequest, parseReport } from './parse.ts';
import { renderAgain, renderIdentity, renderTaken } from './render.ts';
import { type Answer, bodyOf, send, TooLarge } from './transport.ts';

export interface ReportLimits {
  readonly connections: number;
  /** A node has one, and for a moment, when it comes again, two. */
  readonly connectionsPerClient: number;
  /** From the first byte of a connection to the last of its request. */
  readonly requestMs: number;
  /** From the answer to the end of the connection. */
  readonly answerMs: number;
}

export interface ReportServerOptions {
  readonly port: number;
  readonly desk: ReportDesk;
  readonly log: Log;
  readonly warnings: WarningSink;
  readonly limits?: Partial<ReportLimits>;
}

export interface ReportServer {
  /** See {@link Listeners.listenAt}. */
  listenAt(listeners: Iterable<Listener>): Promise<void>;
  /** `open`: connections now, most of them of nodes that wait for an order. */
  counters(): Readonly<Record<keyof ReportCounters | 'open', number>>;
  stop(): Promise<void>;
}

const DEFAULT_LIMITS: ReportLimits = {
  connections: 8192,
  connectionsPerClient: 8,
  requestMs: 10_000,
  answerMs: 10_000,
};
const MOST_HEADER_BYTES = 4096;
const LINES_PER_SECOND = 20;

/** A request of which all that can be known without its key is in order. */
interface Asked {
  readonly path: string;
  readonly body: Uint8Array;
  readonly mac: string;
  readonly sender: Sender;
}

/**
 * Takes the reports of nodes: HTTP/1.1, POST, one request per connection. An answer to a report may take a minute, in which
 * its connection costs a socket and a timer. Who sent what is for the desk to say.
 */
export function startReportServer(options: ReportServerOptions): ReportServer {
  const { port, desk, log, warnings } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const counters = newReportCounters();
  const connections = new Connections(limits, Date.now);
  const asked = new WeakSet<Socket>();
  const lines = lineBudget(LINES_PER_SECOND, Date.now);

  function tell(level: 'info' | 'warn' | 'error', fields: object, message: string): void {
    lines((left) => log[level]({ ...fields, ...(left > 0 ? { left } : {}) }, message));
  }

  function accept(listener: Listener, socket: Socket): void {
    const client = socket.remoteAddress ?? '';
    const superfluous = connections.add(client, socket);
    if (superfluous) {
      counters.busy += 1;
      const fields = { id: 'REPORT_BUSY', interface: listener.interface };
      tell('warn', { ...fields, client: superfluous.remoteAddress }, 'too many connections are open');
      superfluous.destroy();
    }
    socket.once('close', () => connections.delete(client, socket));
  }

  async function receive(listener: Listener, request: IncomingMessage): Promise<void> {
    const { socket } = request;
    // One request a connection; what is sent ahead would wait for a minute.
    if (asked.has(socket)) {
      counters.malformed += 1;
      socket.destroy();
      return;
    }
    asked.add(socket);
    counters.requests += 1;
    const fields = { interface: listener.interface, client: socket.remoteAddress ?? '' };
    try {
      const answer = await answerTo(request);
      if (answer === undefined) return;
      request.resume(); // of what is refused unread
      if (answer.status === 403) {
        counters.refused += 1;
        tell(
          'info',
          { ...fields, id: 'REPORT_REFUSED', path: request.url?.slice(0, 40) },
          answer.body.trim(),
        );
      }
      const isWhole = await send(socket, answer, limits.answerMs);
      if (!isWhole) counters.aborted += 1;
      answer.onSent?.(isWhole);
    } catch (error) {
      if (error instanceof WireError || error instanceof TooLarge) {
        counters.malformed += 1;
        tell('info', { ...fields, id: 'REPORT_MALFORMED' }, error.message);
        const status = error instanceof TooLarge ? 413 : 400;
        await send(socket, { status, body: `${error.message}\n` }, limits.answerMs);
        return;
      }
      counters.failed += 1;
      tell('error', { ...fields, id: 'REPORT_FAILED', err: error }, 'cannot answer');
      await send(socket, { status: 500, body: 'the appliance failed: its log says more\n' }, limits.answerMs);
    }
  }

  /** `undefined` when the client is gone. @throws WireError, TooLarge. */
  async function answerTo(request: IncomingMessage): Promise<Answer | undefined> {
    const { url: path, method, socket } = request;
    if (path !== IDENTITY_PATH && path !== REPORT_PATH) {
      counters.malformed += 1;
      return { status: 404, body: 'there is nothing here\n' };
    }
    if (method !== 'POST') {
      counters.malformed += 1;
      return { status: 405, body: 'only POST is answered\n' };
    }
    const body = await bodyOf(request, MOST_REQUEST_BYTES);
    if (body === undefined) {
      counters.aborted += 1;
      return undefined;
    }
    const mac = request.headers[MAC_HEADER.toLowerCase()];
    if (typeof mac !== 'string' || !/^[0-9a-f]{64}$/.test(mac))
      throw new WireError(`the header ${MAC_HEADER} is missing, or not 64 hex digits`);
    const sender: Sender = {
      address: socket.remoteAddress as Ipv4,
      isSignedWith: (key) => isSameMac(macOfRequest(key, path, body), mac),
    };
    const whole: Asked = { path, body, mac, sender };
    return path === IDENTITY_PATH ? redeem(whole) : report(whole, socket);
  }

  async function redeem({ body, mac, sender }: Asked): Promise<Answer> {
    const outcome = await desk.redeem(parseIdentityRequest(body), sender);
    if (outcome.kind === 'refused') return { status: 403, body: `${outcome.reason}\n` };
    counters.identities += 1;
    return signed(200, outcome.key, mac, renderIdentity(outcome.identity));
  }

  async function report({ body, mac, sender }: Asked, socket: Socket): Promise<Answer | undefined> {
    const gone = new AbortController();
    const leave = () => gone.abort();
    socket.once('close', leave);
    const outcome = await desk.report(parseReport(body), sender, gone.signal);
    socket.off('close', leave);
    if (outcome.kind === 'refused') return { status: 403, body: `${outcome.reason}\n` };
    const { key, run } = outcome;
    if (outcome.kind === 'again') {
      counters.again += 1;
      return signed(409, key, mac, renderAgain(run, outcome.seq));
    }
    counters.reports += 1;
    const { given, onSent } = outcome;
    if (given) counters.orders += 1;
    return { ...signed(200, key, mac, renderTaken(run, given)), onSent };
  }

  function signed(status: number, key: string, requestMac: string, body: string): Answer {
    return { status, body, headers: { [MAC_HEADER]: macOfAnswer(key, requestMac, body) } };
  }

  /** What is no HTTP, comes too slowly or is too long is told so where that is still possible, and counted. */
  function refuse(error: NodeJS.ErrnoException, socket: Socket): void {
    if (error.code === 'ECONNRESET' || error.code === 'EPIPE' || !socket.writable) {
      socket.destroy();
      return;
    }
    const isSlow = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
    if (isSlow) counters.timeouts += 1;
    else counters.malformed += 1;
    const status = isSlow ? 408 : error.code === 'HPE_HEADER_OVERFLOW' ? 431 : 400;
    void send(socket, { status, body: '' }, limits.answerMs);
  }

  function serverFor(listener: Listener): Server {
    const server = createServer({
      maxHeaderSize: MOST_HEADER_BYTES,
      headersTimeout: limits.requestMs,
      requestTimeout: limits.requestMs,
      connectionsCheckingInterval: Math.min(1000, limits.requestMs),
      requireHostHeader: false,
    });
    server.on('connection', (socket) => accept(listener, socket));
    server.on('request', (request) => void receive(listener, request));
    server.on('clientError', refuse);
    return server;
  }

  const listeners = new Listeners({
    port,
    serverFor,
    warnings,
    onError: ({ interface: name }, error) =>
      log.error({ id: 'REPORT_SOCKET', interface: name, err: error }, 'socket failed'),
    describe: ({ interface: name, address }, error) => ({
      id: `REPORTS_NOT_TAKEN ${name}`,
      text: `nodes on ${name} get no identity and cannot report: ${error.message}. Stop what listens at ${address}:${port}, or set another "reports: { port }" in the configuration; it is tried again until then`,
    }),
  });

  return {
    listenAt: (wanted) => listeners.listenAt(wanted),
    counters: () => ({ ...counters, open: connections.all().length }),
    async stop() {
      const stopped = listeners.stop();
      for (const socket of connections.all()) socket.destroy();
      await stopped;
    },
  };
}
