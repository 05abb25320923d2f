import { chmod, lstat, mkdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { Refusal } from '../model/command.ts';

/**
 * Makes the place for a unix socket free: its folder is there, and a socket that a killed service left is removed.
 * @throws Refusal when a living service answers there, something else lies there, or it cannot be made free.
 */
export async function clearUnixSocket(path: string): Promise<void> {
  const refuse = (problem: string, cause?: unknown) =>
    new Refusal(
      `There is no place for a socket at "${path}" (api.socket): ${problem}`,
      'Name another place, or make room there.',
      { cause },
    );
  try {
    await mkdir(dirname(path), { recursive: true });
    const found = await lstat(path).catch(() => undefined);
    if (!found) return;
    if (!found.isSocket()) throw refuse('something else lies there');
    const code = await connectError(path);
    if (code === undefined) {
      throw new Refusal(
        `Another netboot service answers at "${path}"`,
        'Stop it, or give this one its own api.socket.',
      );
    }
    if (code !== 'ECONNREFUSED') throw refuse(code);
    await rm(path);
  } catch (error) {
    throw error instanceof Refusal ? error : refuse((error as Error).message, error);
  }
}

/** Whether a service answers at this socket. */
export async function isAnswered(path: string): Promise<boolean> {
  return (await connectError(path)) === undefined;
}

/** File permissions decide who may use the API: owner and group. */
export async function restrictUnixSocket(path: string): Promise<void> {
  await chmod(path, 0o660);
}

/** Why nobody answers at a socket; `undefined` when somebody does. */
function connectError(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (code?: string) => {
      socket.destroy();
      resolve(code);
    };
    socket
      .once('connect', () => end())
      .once('error', ({ code }: NodeJS.ErrnoException) => end(code ?? 'error'));
  });
}
