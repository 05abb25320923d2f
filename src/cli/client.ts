import type { Command } from 'commander';
import type { Problem } from '../api/schemas.ts';
import type { ToldEvent } from '../fleet/events.ts';
import { Refusal } from '../model/command.ts';
import { findSocket } from './config-file.ts';

// Not by `import`: naming what a built-in module exports makes Node load all that it could export, for node:http
// its whole fetch, which takes 50 ms.
const { request } = process.getBuiltinModule('node:http');

/** One call of the service's API, over the socket that the configuration names. @throws ServiceRefusal with its words. */
export async function callApi<Answer>(
  program: Command,
  method: string,
  path: string,
  body?: unknown,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Answer> {
  return JSON.parse((await exchange(program, method, path, body, options)).toString() || 'null') as Answer;
}

/** A file that the API gives, as it is. @throws ServiceRefusal with its words. */
export function fetchFile(program: Command, path: string): Promise<Buffer> {
  return exchange(program, 'GET', path);
}

async function exchange(
  program: Command,
  method: string,
  path: string,
  body?: unknown,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<Buffer> {
  const socketPath = await findSocket(program);
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const headers = payload
    ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }
    : {};
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path, headers, ...(signal ? { signal } : {}) }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const answer = Buffer.concat(chunks);
        if ((response.statusCode ?? 500) < 400) return resolve(answer);
        const { error } = JSON.parse(answer.toString() || '{}') as Partial<Problem>;
        reject(new ServiceRefusal(error ?? `the service answered ${response.statusCode}`));
      });
    });
    call.on('error', (error: NodeJS.ErrnoException) => reject(unreachable(socketPath, error)));
    call.end(payload);
  });
}

/** Where a stream of events was when it broke off. */
interface Heard {
  id?: string;
}

const AGAIN_MS = 1000;

/**
 * Calls back with each event, first those that are remembered. When the service restarts, it goes on where it was.
 * @throws Refusal when there is no service at first.
 */
export async function followEvents(program: Command, onEvent: (event: ToldEvent) => void): Promise<never> {
  const heard: Heard = {};
  const listen = async () => readEvents(await findSocket(program), heard, onEvent);
  await listen();
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    await listen().catch(() => {});
  }
}

/** Resolves when the service ends the stream. */
function readEvents(socketPath: string, heard: Heard, onEvent: (event: ToldEvent) => void): Promise<void> {
  const headers = heard.id === undefined ? {} : { 'last-event-id': heard.id };
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path: '/v1/events', headers }, (response) => {
      let rest = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        const lines = `${rest}${text}`.split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines.filter((each) => each.startsWith('data: '))) {
          const event = JSON.parse(line.slice('data: '.length)) as ToldEvent;
          heard.id = event.id;
          onEvent(event);
        }
      });
      response.on('close', () => {
        if (response.statusCode === 200) resolve();
        else reject(new ServiceRefusal(`the service answered ${response.statusCode}: ${rest}`));
      });
      response.on('error', () => {}); // 'close' follows
    });
    call.on('error', (error: NodeJS.ErrnoException) => reject(unreachable(socketPath, error)));
    call.end();
  });
}

/** What the service refused, in its words. */
export class ServiceRefusal extends Error {
  override readonly name = 'ServiceRefusal';
}

function unreachable(socketPath: string, error: NodeJS.ErrnoException): Refusal {
  if (error.code === 'EACCES') {
    return new Refusal(
      `You may not use the service's socket "${socketPath}"`,
      'Run this as root, or join the group "netboot".',
    );
  }
  return new Refusal(
    `The netboot service does not answer at "${socketPath}" (${error.code ?? error.message})`,
    'Start it with "systemctl start netboot" or "netboot serve", or name its configuration with --config.',
  );
}
