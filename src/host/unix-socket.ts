import { chmod, mkdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { Refusal } from '../model/command.ts';

/**
 * Makes the place for a unix socket free: its folder is there, and a socket that a killed service left is removed.
 * @throws Refusal when a living service answers there, or it cannot be made free.
 */
export async function clearUnixSocket(path: string): Promise<void> {
  if (await answers(path)) {
    throw new Refusal(
      `Another netboot service answers at "${path}"`,
      'Stop it, or give this one its own api.socket.',
    );
  }
  try {
    await mkdir(dirname(path), { recursive: true });
    await rm(path, { force: true });
  } catch (error) {
    const problem = `There is no place for a socket at "${path}" (api.socket): ${(error as Error).message}`;
    throw new Refusal(problem, 'Make its folder writable, or name another place.', { cause: error });
  }
}

/** File permissions decide who may use the API: owner and group. */
export async function restrictUnixSocket(path: string): Promise<void> {
  await chmod(path, 0o660);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (result: boolean) => {
      socket.destroy();
      resolve(result);
    };
    socket.once('connect', () => end(true)).once('error', () => end(false));
  });
}
