import { createServer, type Server, type Socket } from 'node:net';
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
import { IDENTITY_PATH, REPORT_PATH } from './message.ts';
import { parseIdentityRequest, parseReport } from './parse.ts';
import { renderAgain, renderIdentity, renderTaken } from './render.ts';
import { BadRequest, macIn, type Request, RequestReader } from './request.ts';
import { type Answer, send } from './transport.ts';

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
const LINES_PER_SECOND = 20;

/** For the log. */
type Fields = { readonly interface: string; readonly client: string };

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
  const lines = lineBudget(LINES_PER_SECOND, Date.now);

  function tell(level: 'info' | 'warn' | 'error', fields: object, message: string): void {
    lines((left) => log[level]({ ...fields, ...(left > 0 ? { left } : {}) }, message));
  }

  function accept(listener: Listener, socket: Socket): void {
    const client = socket.remoteAddress ?? '';
    const fields = { interface: listener.interface, client };
    socket.on('error', () => {}); // `close` follows
    const superfluous = connections.add(client, socket);
    if (superfluous) {
      counters.busy += 1;
      const { remoteAddress } = superfluous;
      tell('warn', { ...fields, id: 'REPORT_BUSY', client: remoteAddress }, 'too many connections are open');
      superfluous.destroy();
    }
    socket.once('close', () => connections.delete(client, socket));
    if (!socket.destroyed) read(socket, fields);
  }

  /** One request a connection; what is sent ahead would wait for a minute. */
  function read(socket: Socket, fields: Fields): void {
    const reader = new RequestReader();
    let state: 'reading' | 'answering' | 'ended' = 'reading';
    const late = setTimeout(() => {
      counters.timeouts += 1;
      end({ status: 408, body: 'the request took too long\n' });
    }, limits.requestMs);
    const end = (answer: Answer) => {
      clearTimeout(late);
      state = 'ended';
      void send(socket, answer, limits.answerMs);
    };
    const malformed = (message: string) => {
      counters.malformed += 1;
      tell('info', { ...fields, id: 'REPORT_MALFORMED' }, message);
    };
    socket.on('data', (chunk) => {
      if (state === 'ended') return;
      if (state === 'answering') {
        malformed('a second request came on one connection');
        socket.destroy();
        return;
      }
      try {
        const request = reader.add(chunk);
        if (!request) return;
        clearTimeout(late);
        state = 'answering';
        void answer(socket, request, fields).then(() => {
          state = 'ended';
        });
      } catch (error) {
        if (!(error instanceof BadRequest)) throw error;
        malformed(error.message);
        end({ status: error.status, body: `${error.message}\n` });
      }
    });
    socket.on('end', () => {
      // Whoever hangs up does not wait for an answer.
      if (state !== 'ended' && !socket.writableEnded) socket.destroy();
    });
    socket.once('close', () => {
      clearTimeout(late);
      if (state === 'reading') counters.aborted += 1;
    });
  }

  async function answer(socket: Socket, request: Request, fields: Fields): Promise<void> {
    counters.requests += 1;
    try {
      const answer = await answerTo(request, socket);
      if (answer.status === 403) {
        counters.refused += 1;
        const path = request.path.slice(0, 40);
        tell('info', { ...fields, id: 'REPORT_REFUSED', path }, answer.body.trim());
      }
      const isWhole = await send(socket, answer, limits.answerMs);
      if (!isWhole) counters.aborted += 1;
      answer.onSent?.(isWhole);
    } catch (error) {
      if (error instanceof WireError) {
        counters.malformed += 1;
        tell('info', { ...fields, id: 'REPORT_MALFORMED' }, error.message);
        await send(socket, { status: 400, body: `${error.message}\n` }, limits.answerMs);
        return;
      }
      counters.failed += 1;
      tell('error', { ...fields, id: 'REPORT_FAILED', err: error }, 'cannot answer');
      await send(socket, { status: 500, body: 'the appliance failed: its log says more\n' }, limits.answerMs);
    }
  }

  /** @throws WireError. */
  async function answerTo(request: Request, socket: Socket): Promise<Answer> {
    const { path, method, body } = request;
    if (path !== IDENTITY_PATH && path !== REPORT_PATH) {
      counters.malformed += 1;
      return { status: 404, body: 'there is nothing here\n' };
    }
    if (method !== 'POST') {
      counters.malformed += 1;
      return { status: 405, body: 'only POST is answered\n' };
    }
    const mac = macIn(request);
    const sender: Sender = {
      address: socket.remoteAddress as Ipv4,
      port: socket.remotePort as number,
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

  async function report({ body, mac, sender }: Asked, socket: Socket): Promise<Answer> {
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

  function serverFor(listener: Listener): Server {
    // Half open: what a client says last may be all that it says.
    return createServer({ allowHalfOpen: true, noDelay: true }, (socket) => accept(listener, socket));
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
