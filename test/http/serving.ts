import http from 'node:http';
import type { AddressInfo } from 'node:net';
import net from 'node:net';
import { type HttpBootServer, type HttpLimits, startHttpServer } from '../../src/http/server.ts';
import type { BootFile, OpenBootFile } from '../../src/model/boot-file.ts';
import type { Log } from '../../src/model/log.ts';
import { Warnings } from '../../src/model/warnings.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';

export const LOOPBACK = '127.0.0.1' as Ipv4;

/** A port that nothing listens at just now. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, LOOPBACK);
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export interface Logged {
  readonly level: string;
  readonly id?: string;
  readonly [field: string]: unknown;
}

/** A server of these files on the loopback interface, with all that it logged and all it holds open. */
export class Serving {
  readonly lines: Logged[] = [];
  readonly asked: Array<{ address: string; interface: string; path: string }> = [];
  open = 0;
  readonly warnings: Warnings;
  readonly port: number;
  readonly server: HttpBootServer;

  private constructor(
    port: number,
    files: ReadonlyMap<string, Uint8Array | BootFile>,
    limits: Partial<HttpLimits>,
  ) {
    this.port = port;
    const at = (level: string) => (fields: object) => void this.lines.push({ level, ...fields });
    const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
    this.warnings = new Warnings(log, Date.now);
    const openFile: OpenBootFile = async (client, path) => {
      this.asked.push({ ...client, path });
      const found = files.get(path);
      if (!found) return { kind: 'missing', reason: `no file ${path}` };
      const file = found instanceof Uint8Array ? inMemory(found) : found;
      this.open += 1;
      const close = async () => {
        this.open -= 1;
        await file.close();
      };
      const { size, version } = file;
      return {
        kind: 'file',
        size,
        ...(version === undefined ? {} : { version }),
        read: (offset, length) => file.read(offset, length),
        close,
      };
    };
    this.server = startHttpServer({ port, openFile, log, warnings: this.warnings, limits });
  }

  static async start(
    files: Readonly<Record<string, Uint8Array | BootFile>>,
    limits: Partial<HttpLimits> = {},
    port?: number,
  ): Promise<Serving> {
    const serving = new Serving(port ?? (await freePort()), new Map(Object.entries(files)), limits);
    await serving.server.listenAt([{ interface: 'eth0', address: LOOPBACK }]);
    return serving;
  }

  fetch(path: string, options: http.RequestOptions = {}): Promise<Answer> {
    return fetchFrom(this.port, path, options);
  }

  /** A connection that sends these bytes as they are. */
  connect(bytes = '', localAddress = LOOPBACK): net.Socket {
    const socket = net.connect({ port: this.port, host: LOOPBACK, localAddress });
    socket.on('error', () => {});
    socket.write(bytes, 'latin1');
    return socket;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.server.stop();
  }
}

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Node's client: it takes an answer with less than its Content-Length for broken. */
function fetchFrom(port: number, path: string, options: http.RequestOptions): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = http.request({ host: LOOPBACK, port, path, agent: false, ...options }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks),
        }),
      );
    });
    call.on('error', reject);
    call.end();
  });
}

/** All that comes until the other end closes. */
export function readAll(socket: net.Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    socket.on('close', () => resolve(text));
  });
}

export function inMemory(bytes: Uint8Array, version = 'v1'): BootFile {
  return {
    size: bytes.length,
    version,
    read: async (offset, length) => bytes.subarray(offset, offset + length),
    close: async () => {},
  };
}
