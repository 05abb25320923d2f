import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Run } from '../../model/command.ts';

/**
 * Takes from the system what still works below a folder whose build is no more. There is none as a rule, as the kernel ends
 * a step with its builder; but the helper of a step may live on, or a mount that it made elsewhere.
 */
export async function takeFromSystem(run: Run, folder: string): Promise<void> {
  for (const pid of await processesBelow(folder)) await end(pid, folder);
  for (const mountPoint of mountsBelow(folder, await readMounts('self')).toReversed()) {
    await run('umount', ['--lazy', mountPoint]).catch(() => {});
  }
  const loops = await run('losetup', ['--list', '--noheadings', '--raw', '--output', 'NAME,BACK-FILE']);
  for (const line of loops.split('\n')) {
    const [device = '', file = ''] = line.split(' ');
    if (file.startsWith(`${folder}/`)) await run('losetup', ['--detach', device]).catch(() => {});
  }
}

/** Processes in whose mount namespace something below the folder is mounted, and which is not our own. */
async function processesBelow(folder: string): Promise<number[]> {
  const own = await readMounts('self');
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found: number[] = [];
  for (const pid of pids) {
    const mounts = await readMounts(pid);
    if (mounts !== own && mountsBelow(folder, mounts).length > 0) found.push(pid);
  }
  return found;
}

async function end(pid: number, folder: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (mountsBelow(folder, await readMounts(pid)).length === 0) return;
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      return;
    }
    await sleep(50);
  }
}

const readMounts = (pid: number | 'self') => readFile(`/proc/${pid}/mountinfo`, 'utf8').catch(() => '');

/** proc_pid_mountinfo(5): the fifth field is the mount point. */
const mountsBelow = (folder: string, mountinfo: string): string[] =>
  mountinfo
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((mountPoint) => mountPoint.startsWith(`${folder}/`));
