import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { Refusal, type Run } from '../model/command.ts';
import type { Log } from '../model/log.ts';
import type { Export } from './export.ts';
import { servedExports } from './mount-client.ts';
import { hasRpcbind, requireLoopback, waitForPorts, waitForRpcbind } from './ports.ts';
import { onlyChild, openNamespace } from './private-namespace.ts';
import { MOUNT_PORT } from './render-ganesha.ts';
import { mountSealed, unmount } from './sealed-mount.ts';

const START_TIMEOUT_MS = 20_000;
const RELOAD_TIMEOUT_MS = 3_000;
/** Two hundred take half a second of a desktop's processor; who gives up too early restarts a server that was at work. */
const RELOAD_MS_PER_EXPORT = 50;
const TAIL_LINES = 20;
/** What it complains of in every start without a system bus and without Kerberos. */
const HARMLESS = /:DBUS :|principal nfs|keytab/;

/** One life of rpcbind and Ganesha with their mounts. It ends as a whole: when one of them dies, so does the rest. */
export interface GaneshaSession {
  /** Paths of the sealed roots mounted in it. */
  readonly mounted: ReadonlySet<string>;
  mount(squashfs: string, path: string): Promise<void>;
  unmount(path: string): Promise<void>;
  /**
   * Starts Ganesha, or has it read its configuration again, and gives those of `exports` it does not serve as asked
   * after all. @throws Refusal when it does not come up.
   */
  serve(exports: readonly Export[]): Promise<Export[]>;
  close(): Promise<void>;
}

export interface SessionOptions {
  readonly run: Run;
  readonly log: Log;
  /** ganesha.conf. */
  readonly configFile: string;
  readonly pidFile: string;
  /** Called once when the session ended without having been closed. */
  readonly onDeath: (reason: string) => void;
}

export async function openSession(options: SessionOptions): Promise<GaneshaSession> {
  const { log, configFile, pidFile } = options;
  requireLoopback();
  await waitForPorts();
  const isRpcbindShared = await hasRpcbind();
  const namespace = await openNamespace(options.run);
  const mounted = new Set<string>();
  const tail: string[] = [];
  let isOver = false;
  let ganesha: ChildProcess | undefined;

  const close = async () => {
    isOver = true;
    await namespace.close();
  };
  const start = (program: string, args: readonly string[]): ChildProcess => {
    const child = namespace.start(program, args);
    for (const stream of [child.stdout, child.stderr]) {
      if (!stream) continue;
      createInterface({ input: stream }).on('line', (line) => {
        tail.push(line);
        tail.splice(0, tail.length - TAIL_LINES);
        log.debug({ id: 'NFS_SERVER_SAYS', program }, line);
      });
    }
    const died = (how: string) => {
      if (isOver) return;
      isOver = true;
      log.error({ id: 'NFS_SERVER_DIED', program, tail: tail.slice(-5) }, `${program} ended (${how})`);
      void namespace.close().finally(() => options.onDeath(`${program} ended (${how})`));
    };
    child.once('error', (error) => died(error.message));
    child.once('exit', (code, signal) => died(signal ?? `exit ${code}`));
    return child;
  };

  try {
    if (!isRpcbindShared) {
      // The host's /run has the socket of the host's own rpcbind, which serves another network namespace.
      await namespace.run('mount', ['-t', 'tmpfs', '-o', 'mode=755,size=16m', 'netboot', '/run']);
      start('rpcbind', ['-w', '-f']);
      await waitForRpcbind();
    }
  } catch (error) {
    await close();
    throw error;
  }

  const missing = async (exports: readonly Export[], timeoutMs: number): Promise<Export[]> => {
    let left: Export[] = [...exports];
    for (const deadline = Date.now() + timeoutMs; Date.now() < deadline && !isOver; await sleep(100)) {
      try {
        left = notServed(exports, await servedExports(MOUNT_PORT));
        if (left.length === 0) break;
      } catch {
        // Not up yet, or busy reading its configuration: asked again.
      }
    }
    return left;
  };
  const waitUntilUp = async () => {
    for (const deadline = Date.now() + START_TIMEOUT_MS; Date.now() < deadline && !isOver; await sleep(50)) {
      try {
        await servedExports(MOUNT_PORT);
        return;
      } catch {
        // Not up yet, or busy reading its configuration: asked again.
      }
    }
    const said = tail.filter((line) => /:(CRIT|MAJ|FATAL) /.test(line) && !HARMLESS.test(line)).slice(-3);
    throw new Refusal(
      `NFS-Ganesha did not start${said.length > 0 ? `: ${said.join(' / ')}` : ''}`,
      'Check that nfs-ganesha, nfs-ganesha-vfs and rpcbind are installed and that this is run as root.',
    );
  };

  return {
    mounted,
    async mount(squashfs, path) {
      await mountSealed(namespace.run, squashfs, path);
      mounted.add(path);
    },
    async unmount(path) {
      await unmount(namespace.run, path);
      mounted.delete(path);
    },
    async serve(exports) {
      if (ganesha?.pid) process.kill(await onlyChild(ganesha.pid), 'SIGHUP');
      else {
        ganesha = start('ganesha.nfsd', ['-F', '-f', configFile, '-L', 'STDERR', '-p', pidFile]);
        await waitUntilUp();
      }
      return missing(exports, RELOAD_TIMEOUT_MS + exports.length * RELOAD_MS_PER_EXPORT);
    },
    close,
  };
}

/** Those of `exports` that mountd does not list, or not for the same clients. */
function notServed(
  exports: readonly Export[],
  served: ReadonlyArray<{ path: string; clients: readonly string[] }>,
): Export[] {
  const clientsOf = new Map(served.map(({ path, clients }) => [path, clients]));
  return exports.filter(({ path, clients }) => {
    const now = clientsOf.get(path);
    return now === undefined || !clients.every((client) => now.includes(client));
  });
}
