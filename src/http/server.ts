import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { isExpectedMiss } from '../boot/firmware.ts';
import type { OpenBootFile } from '../model/boot-file.ts';
import { Connections } from '../model/connections.ts';
import { lineBudget } from '../model/line-budget.ts';
import { type Listener, Listeners } from '../model/listeners.ts';
import type { Log } from '../model/log.ts';
import { throttle } from '../model/throttle.ts';
import type { WarningSink } from '../model/warnings.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import { type HttpCounters, newHttpCounters } from './counters.ts';
import { etagOf, partOf } from './range.ts';
import { agentOf, pathOf } from './request.ts';
import { sendPart } from './send.ts';

export interface HttpLimits {
  readonly connections: number;
  readonly connectionsPerClient: number;
  /** Requests that a client may send ahead on one connection. */
  readonly requestsAhead: number;
  /** From the first byte of a connection, or after an answer, to the end of a request's headers. */
  readonly headersMs: number;
  /** Without a byte in either direction. */
  readonly idleMs: number;
  /** From the request to the last byte of its answer. */
  readonly transferMs: number;
}

export interface HttpServerOptions {
  readonly port: number;
  readonly openFile: OpenBootFile;
  readonly log: Log;
  readonly warnings: WarningSink;
  readonly limits?: Partial<HttpLimits>;
}

export interface HttpBootServer {
  /** See {@link Listeners.listenAt}. */
  listenAt(listeners: Iterable<Listener>): Promise<void>;
  /** `running`: transfers that run now. */
  counters(): Readonly<Record<keyof HttpCounters | 'running', number>>;
  stop(): Promise<void>;
}

const DEFAULT_LIMITS: HttpLimits = {
  connections: 1024,
  connectionsPerClient: 64,
  requestsAhead: 16,
  headersMs: 10_000,
  idleMs: 60_000,
  transferMs: 15 * 60_000,
};
/** Firmware sends a few hundred bytes. */
const MOST_HEADER_BYTES = 8192;
const BUSY_LOG_INTERVAL_MS = 10_000;
/** A rack that boots stays readable, and a client that does nothing but ask does not fill the disk. */
const LINES_PER_SECOND = { sent: 50, unsent: 20 };

interface Request {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** For the log. */
  readonly fields: { readonly interface: string; readonly client: string; readonly path: string };
}

/**
 * Serves the boot trees that TFTP serves over HTTP/1.1: GET and HEAD, one range, never a redirect, a chunked or a
 * compressed answer, since firmware understands none of those (raspberrypi/rpi-eeprom#475).
 */
export function startHttpServer(options: HttpServerOptions): HttpBootServer {
  const { port, openFile, log, warnings } = options;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const counters = newHttpCounters();
  const connections = new Connections(limits, Date.now);
  /** Of each connection, the answers under way and the last of them: they go out one after the other. */
  const queues = new WeakMap<Socket, { waiting: number; last: Promise<void> }>();
  const busy = throttle(BUSY_LOG_INTERVAL_MS, Date.now);
  const sentLines = lineBudget(LINES_PER_SECOND.sent, Date.now);
  const unsentLines = lineBudget(LINES_PER_SECOND.unsent, Date.now);
  let running = 0;

  /** Why a request was not answered with its file. */
  function tell(level: 'info' | 'warn' | 'error', fields: object, message: string): void {
    unsentLines((left) => log[level]({ ...fields, ...(left > 0 ? { left } : {}) }, message));
  }

  function accept(listener: Listener, socket: Socket): void {
    const client = socket.remoteAddress ?? '';
    const superfluous = connections.add(client, socket);
    if (superfluous) {
      counters.busy += 1;
      busy((left) => {
        const fields = { id: 'HTTP_BUSY', interface: listener.interface, left };
        log.warn(
          { ...fields, client: superfluous.remoteAddress },
          'too many connections are open: those of the clients with most are closed',
        );
      });
      superfluous.destroy();
    }
    socket.once('close', () => connections.delete(client, socket));
  }

  function receive(listener: Listener, request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const queue = queues.get(socket) ?? { waiting: 0, last: Promise.resolve() };
    queues.set(socket, queue);
    if (queue.waiting >= limits.requestsAhead) {
      counters.malformed += 1;
      socket.destroy();
      return;
    }
    counters.requests += 1;
    queue.waiting += 1;
    const fields = {
      interface: listener.interface,
      client: socket.remoteAddress ?? '',
      path: (request.url ?? '').slice(0, 1024),
      ...agentOf(request.headers['user-agent']),
    };
    queue.last = queue.last
      .then(() => answer({ request, response, fields }))
      .catch((error: unknown) => {
        counters.failed += 1;
        tell('error', { ...fields, id: 'HTTP_FAILED', err: error }, 'cannot serve');
        socket.destroy();
      })
      .finally(() => {
        queue.waiting -= 1;
      });
  }

  async function answer(asked: Request): Promise<void> {
    const { request, response, fields } = asked;
    if (request.socket.destroyed) return;
    connections.touch(fields.client, request.socket);
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      counters.refused += 1;
      tell('info', { ...fields, id: 'HTTP_REFUSED', method: request.method }, 'only GET and HEAD are served');
      // What may follow of it is not waited for.
      response.setHeader('Connection', 'close');
      return say(response, 405, 'this server is read-only: use GET or HEAD', { Allow: 'GET, HEAD' });
    }
    const path = pathOf(request.url ?? '');
    if (path === undefined) {
      counters.malformed += 1;
      return say(response, 400, 'the address of the file cannot be read');
    }
    const client = { address: fields.client as Ipv4, interface: fields.interface };
    const file = await openFile(client, path);
    if (file.kind === 'missing') {
      counters.missed += 1;
      const told = { ...fields, id: 'HTTP_MISS' };
      if (isExpectedMiss(path)) log.debug(told, file.reason);
      else tell('info', told, file.reason);
      return say(response, 404, file.reason);
    }
    running += 1;
    const deadline = setTimeout(() => {
      counters.timeouts += 1;
      tell('warn', { ...fields, id: 'HTTP_TIMEOUT' }, 'the transfer took too long');
      request.socket.destroy();
    }, limits.transferMs);
    try {
      await send(asked, file);
    } finally {
      clearTimeout(deadline);
      running -= 1;
      await file.close();
      file.done?.();
    }
  }

  async function send(
    { request, response, fields }: Request,
    file: Extract<Awaited<ReturnType<OpenBootFile>>, { kind: 'file' }>,
  ): Promise<void> {
    const startedAt = Date.now();
    const { size, version } = file;
    response.setHeader('Accept-Ranges', 'bytes');
    if (version !== undefined) response.setHeader('ETag', etagOf(version));
    // Of a HEAD, RFC 9110 (14.2) has the range ignored.
    const range = request.method === 'GET' ? request.headers.range : undefined;
    const part = partOf(size, { range, ifRange: request.headers['if-range']?.toString() }, version);
    if (!part) {
      counters.refused += 1;
      return say(response, 416, `the file has ${size} bytes`, { 'Content-Range': `bytes */${size}` });
    }
    const { kind, start, end } = part;
    if (kind === 'part') response.setHeader('Content-Range', `bytes ${start}-${end - 1}/${size}`);
    response.writeHead(kind === 'part' ? 206 : 200, {
      'Content-Type': 'application/octet-stream',
      'Content-Length': end - start,
    });
    if (request.method === 'HEAD') {
      response.end();
      counters.completed += 1;
      log.debug({ ...fields, id: 'HTTP_PROBED' }, 'the client only looked');
      return;
    }
    const sent = await sendPart(response, file, part, (count) => {
      counters.bytes += count;
      connections.touch(fields.client, request.socket);
    });
    const told = { ...fields, size, ...(kind === 'part' ? { start, end } : {}), ms: Date.now() - startedAt };
    if (sent === 'completed') {
      counters.completed += 1;
      if (kind === 'part') counters.partial += 1;
      sentLines((left) => log.info({ ...told, id: 'HTTP_SENT', ...(left > 0 ? { left } : {}) }, 'sent'));
    } else if (sent === 'aborted') {
      counters.aborted += 1;
      tell('info', { ...told, id: 'HTTP_ABORTED' }, 'the client broke off');
    } else {
      throw new Error(`the file ended before its ${size} bytes`);
    }
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
    const status = isSlow
      ? '408 Request Timeout'
      : error.code === 'HPE_HEADER_OVERFLOW'
        ? '431 Request Header Fields Too Large'
        : '400 Bad Request';
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () =>
      socket.destroy(),
    );
  }

  function serverFor(listener: Listener): Server {
    const server = createServer({
      maxHeaderSize: MOST_HEADER_BYTES,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.headersMs,
      connectionsCheckingInterval: Math.min(1000, limits.headersMs),
      keepAliveTimeout: limits.headersMs,
      // Old firmware may leave it out; we need it for nothing.
      requireHostHeader: false,
    });
    server.setTimeout(limits.idleMs, (socket) => {
      // One that is kept alive and has nothing to ask is no failure.
      if ((queues.get(socket)?.waiting ?? 0) > 0) counters.timeouts += 1;
      socket.destroy();
    });
    server.on('connection', (socket) => accept(listener, socket));
    server.on('request', (request, response) => receive(listener, request, response));
    server.on('clientError', refuse);
    return server;
  }

  const listeners = new Listeners({
    port,
    serverFor,
    warnings,
    onError: ({ interface: name }, error) =>
      log.error({ id: 'HTTP_SOCKET', interface: name, err: error }, 'socket failed'),
    describe: ({ interface: name, address }, error) => ({
      id: `HTTP_NOT_SERVED ${name}`,
      text: `HTTP is not served on ${name}: ${error.message}. Stop what listens at ${address}:${port}, or set another port or "http: { port: off }" in the configuration; it is tried again until then`,
    }),
  });

  return {
    listenAt: (wanted) => listeners.listenAt(wanted),
    counters: () => ({ ...counters, running }),
    async stop() {
      const stopped = listeners.stop();
      for (const socket of connections.all()) socket.destroy();
      await stopped;
    },
  };
}

/** A short answer in words, for the person who looks at a screen or a log. */
function say(
  response: ServerResponse,
  status: number,
  words: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = Buffer.from(`${words}\n`);
  response.writeHead(status, {
    ...headers,
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': text.length,
  });
  response.end(text);
}
