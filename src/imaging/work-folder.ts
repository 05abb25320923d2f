import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Refusal } from '../model/command.ts';

/** A folder only this build uses; gone with the scope, whatever happens in it. */
export interface WorkFolder extends AsyncDisposable {
  readonly path: string;
}

/**
 * Takes a work folder below `parent`, which says in its name whose it is, as `build.<pid>.<start time of that process>`.
 * What builds that are no longer running left there is removed.
 * @throws Refusal while another build runs.
 */
export async function takeWorkFolder(parent: string): Promise<WorkFolder> {
  await mkdir(parent, { recursive: true });
  const name = `build.${process.pid}.${await startTime(process.pid)}.${crypto.randomUUID().slice(0, 8)}`;
  const path = join(parent, name);
  // First taken, then looked around: of two that start at once at most one goes on.
  await mkdir(path);
  const remove = () => rm(path, { recursive: true, force: true });
  try {
    for (const other of await readdir(parent)) {
      const owner = /^build\.(\d+)\.(\d+)\./.exec(other);
      if (other === name || !owner) continue;
      if (owner[2] === (await startTime(Number(owner[1])))) {
        throw new Refusal(
          `Another build is running in ${parent} (process ${owner[1]})`,
          'Wait for it, or stop it',
        );
      }
      await rm(join(parent, other), { recursive: true, force: true });
    }
  } catch (error) {
    await remove();
    throw error;
  }
  return { path, [Symbol.asyncDispose]: remove };
}

/** When a process started, in clock ticks since boot (proc_pid_stat(5), field 22); undefined when there is none. */
async function startTime(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field is the program's name in brackets and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[19];
}
