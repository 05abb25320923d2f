import { createHmac, randomInt, timingSafeEqual } from 'node:crypto';
import { request } from 'node:http';
import type { Ipv4 } from '../net/ipv4.ts';

/** Who is spoken to, and from which address. */
export interface Appliance {
  readonly server: Ipv4;
  readonly port: number;
  readonly localAddress?: Ipv4 | undefined;
}

export type Answer =
  /** 200 or 409 with a MAC that is right: its lines, first word and rest. */
  | { readonly kind: 'ok' | 'conflict'; readonly lines: ReadonlyArray<readonly [string, string]> }
  /** 403, or any other status. */
  | { readonly kind: 'refused'; readonly status: number; readonly reason: string }
  /** 200 or 409, but not of who has the key: nothing in it is believed. */
  | { readonly kind: 'forged' }
  /** Nobody answered, or not to the end. */
  | { readonly kind: 'unreachable'; readonly reason: string };

const MAC_HEADER = 'Netboot-Mac';
const MOST_BYTES = 4 * 2 ** 20;

/** A node waits this much longer for an answer than it asked the appliance to wait. */
const PATIENCE_MS = 15_000;

/** As NFS clients: what services listen at is mostly below. */
const FIRST_ROOT_PORT = 600;
const LAST_ROOT_PORT = 1023;
const PORTS_TRIED = 50;

/** A port that only root may ask from. It may be in use. */
const rootPort = (): number => randomInt(FIRST_ROOT_PORT, LAST_ROOT_PORT + 1);

/** Whether a connection came to nothing because of the port that it was to go out from. */
const isPortTaken = (error: Error): boolean =>
  ['EADDRINUSE', 'EADDRNOTAVAIL'].includes((error as NodeJS.ErrnoException).code ?? '');

export interface CallOptions {
  /** How long the appliance may hold it up. */
  readonly waitSeconds?: number;
  /** From a port that only root has. */
  readonly asRoot?: boolean;
  readonly signal?: AbortSignal;
}

/** One exchange with the appliance, both sides proven by `key`; never rejects. */
export function call(
  { server, port, localAddress }: Appliance,
  path: string,
  lines: readonly string[],
  key: string,
  { waitSeconds = 0, asRoot = false, signal }: CallOptions = {},
): Promise<Answer> {
  const body = lines.map((line) => `${line}\n`).join('');
  const mac = macOf(key, `${path}\n${body}`);
  const attempt = (left: number, resolve: (answer: Answer) => void): void => {
    const asked = request({
      host: server,
      port,
      path,
      method: 'POST',
      agent: false, // one connection each, and "Connection: close"
      ...(localAddress ? { localAddress } : {}),
      ...(asRoot ? { localPort: rootPort() } : {}),
      headers: { 'content-length': Buffer.byteLength(body), [MAC_HEADER]: mac },
      timeout: waitSeconds * 1000 + PATIENCE_MS,
      ...(signal ? { signal } : {}),
    });
    const fail = (error: Error) => resolve({ kind: 'unreachable', reason: error.message });
    asked.on('timeout', () => asked.destroy(new Error('no answer in time')));
    asked.on('error', (error) => {
      if (asRoot && left > 0 && isPortTaken(error)) attempt(left - 1, resolve);
      else fail(error);
    });
    asked.on('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MOST_BYTES) asked.destroy(new Error('the answer is too long'));
        else chunks.push(chunk);
      });
      response.on('error', fail);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const status = response.statusCode ?? 0;
        if (status !== 200 && status !== 409)
          return resolve({ kind: 'refused', status, reason: text.split('\n')[0] ?? '' });
        const expected = Buffer.from(macOf(key, `answer\n${mac}\n${text}`));
        const told = Buffer.from(String(response.headers[MAC_HEADER.toLowerCase()] ?? ''));
        if (told.length !== expected.length || !timingSafeEqual(told, expected))
          return resolve({ kind: 'forged' });
        resolve({ kind: status === 200 ? 'ok' : 'conflict', lines: splitLines(text) });
      });
    });
    asked.end(body);
  };
  return new Promise((resolve) => attempt(PORTS_TRIED, resolve));
}

function macOf(key: string, text: string): string {
  return createHmac('sha256', key).update(text).digest('hex');
}

function splitLines(text: string): Array<readonly [string, string]> {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const space = line.indexOf(' ');
      return space === -1 ? [line, ''] : [line.slice(0, space), line.slice(space + 1)];
    });
}

/** The rest of the first line of that name. */
export function restOf(lines: ReadonlyArray<readonly [string, string]>, name: string): string | undefined {
  return lines.find(([first]) => first === name)?.[1];
}
