import { access } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Refusal } from '../model/command.ts';
import { readIfThere } from './durable-file.ts';
import { isListening } from './listening.ts';
import { MOUNT_PORT, NFS_PORT } from './render-ganesha.ts';

const RPCBIND_PORT = 111;
const RPCBIND_SOCKET = '/run/rpcbind.sock';

/** Whether something listens on the port in this network namespace; needs no loopback and disturbs nobody. */
async function isTaken(port: number): Promise<boolean> {
  const tables = await Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map(readIfThere));
  return tables.some((table) => table !== undefined && isListening(table, port));
}

/** Mountd is asked over the loopback, which is down in a fresh network namespace. @throws Refusal when it is. */
export function requireLoopback(): void {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  if (addresses.some(({ address }) => address === '127.0.0.1')) return;
  throw new Refusal(
    'The loopback interface of this network namespace is down',
    'Bring it up: ip link set lo up',
  );
}

/**
 * Waits until the ports of an NFS server are free: those of our predecessor are, moments after it was killed.
 * @throws Refusal when another server keeps them.
 */
export async function waitForPorts(): Promise<void> {
  for (const port of [NFS_PORT, MOUNT_PORT]) {
    for (let tries = 0; await isTaken(port); tries++) {
      if (tries === 50) {
        throw new Refusal(
          `TCP port ${port} is taken: another NFS server runs here`,
          'Stop it (systemctl disable --now nfs-server nfs-ganesha) or set nfs.server: none',
        );
      }
      await sleep(100);
    }
  }
}

/**
 * Whether this machine already runs an rpcbind where we are, as Debian's does once the package is installed: there can
 * be one per network namespace, so that one has to do. A port without the socket is an rpcbind about to end.
 */
export async function hasRpcbind(): Promise<boolean> {
  for (let tries = 0; tries < 30; tries++) {
    if (!(await isTaken(RPCBIND_PORT))) return false;
    if (await exists(RPCBIND_SOCKET)) return true;
    await sleep(100);
  }
  return true;
}

/** Waits until our own rpcbind listens: Ganesha started earlier registers nowhere, and NFSv3 clients find nothing. */
export async function waitForRpcbind(): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    if (await isTaken(RPCBIND_PORT)) return;
    await sleep(100);
  }
  throw new Refusal('rpcbind does not listen on port 111', 'Look at the log for what it said.');
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
