import type { Command } from 'commander';
import type { Problem } from '../api/schemas.ts';
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
): Promise<Answer> {
  const socketPath = await findSocket(program);
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const headers = payload
    ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }
    : {};
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const answer = JSON.parse(Buffer.concat(chunks).toString() || 'null') as Answer & Partial<Problem>;
        if ((response.statusCode ?? 500) < 400) resolve(answer);
        else reject(new ServiceRefusal(answer.error ?? `the service answered ${response.statusCode}`));
      });
    });
    call.on('error', (error: NodeJS.ErrnoException) => reject(unreachable(socketPath, error)));
    call.end(payload);
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
