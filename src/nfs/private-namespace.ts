import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { CommandError, type Run } from '../model/command.ts';

const ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C.UTF-8',
};

/**
 * A mount and PID namespace of our own, in the network namespace we are in. However we end, `kill -9` included, the
 * kernel ends every process and undoes every mount in it, so that nothing can be left behind.
 */
export interface PrivateNamespace {
  /** Its first process, as seen from outside. */
  readonly pid: number;
  /** Runs a program to its end in there. */
  readonly run: Run;
  /** Starts a program that stays. */
  start(program: string, args: readonly string[]): ChildProcess;
  close(): Promise<void>;
}

/**
 * The first process is `cat`, which ends when its stdin does, that is, with us; `pdeathsig` says the same to the
 * kernel. The line it gives back tells that the namespaces are complete. Host mounts made later show in there
 * (`slave`), never the other way round.
 */
export async function openNamespace(run: Run): Promise<PrivateNamespace> {
  const unshare = ['unshare', '--mount', '--propagation', 'slave', '--pid', '--fork', '--kill-child'];
  const argv = ['--pdeathsig', 'KILL', '--', ...unshare, '--mount-proc', '--', 'cat'];
  const holder = spawn('setpriv', argv, { env: ENVIRONMENT, stdio: ['pipe', 'pipe', 'pipe'] });
  const ended = new Promise<void>((resolve) => holder.once('close', () => resolve()));
  let stderr = '';
  holder.stderr.on('data', (chunk) => {
    stderr = (stderr + chunk).slice(-2000);
  });
  holder.stdin.on('error', () => {});
  holder.stdin.write('ready\n');
  try {
    await Promise.race([
      once(holder.stdout, 'data', { signal: AbortSignal.timeout(10_000) }),
      once(holder, 'close').then(() => Promise.reject(new Error('it ended'))),
    ]);
  } catch (cause) {
    holder.kill('SIGKILL');
    const details = { argv: ['setpriv', ...argv], stderrTail: stderr.trim() };
    throw new CommandError(`No private namespace can be made: ${stderr.trim() || cause}`, details, { cause });
  }
  const pid = await onlyChild(holder.pid as number);
  const enter = ['--target', String(pid), '--mount', '--pid', '--'];
  return {
    pid,
    run: (program, args, options) => run('nsenter', [...enter, program, ...args], options),
    start: (program, args) =>
      spawn('nsenter', [...enter, program, ...args], { env: ENVIRONMENT, stdio: ['ignore', 'pipe', 'pipe'] }),
    async close() {
      holder.stdin.end();
      holder.kill('SIGKILL');
      await ended;
      await gone(pid);
    },
  };
}

/**
 * Until a process has ended; a PID namespace's first process ends last, after the mounts. That its new parent, which may
 * be a container's idea of init, has not yet asked how it ended does not matter. 5 s at most.
 */
async function gone(pid: number): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    if (stat === '' || /\) [ZX] /.test(stat)) return;
    await sleep(50);
  }
}

/** The one child of a process: `unshare` and `nsenter` fork to enter a PID namespace and do not say whom. */
export async function onlyChild(pid: number): Promise<number> {
  const child = Number((await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim());
  if (!child) throw new Error(`process ${pid} has no child`);
  return child;
}
