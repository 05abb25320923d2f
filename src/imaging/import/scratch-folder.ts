import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** A folder for what is unpacked before a build begins; gone with the scope. */
export interface ScratchFolder extends AsyncDisposable {
  readonly path: string;
}

/** Takes one below `parent`; its name says whose it is. */
export async function takeScratchFolder(parent: string): Promise<ScratchFolder> {
  await mkdir(parent, { recursive: true });
  await clearScratch(parent);
  const path = join(parent, `${process.pid}.${await startTime(`${process.pid}`)}`);
  await mkdir(path);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Removes those below `parent` that were left by processes that are no more. */
export async function clearScratch(parent: string): Promise<void> {
  for (const name of await readdir(parent).catch(() => [])) {
    const [pid = '', born] = name.split('.');
    if (born !== (await startTime(pid))) await rm(join(parent, name), { recursive: true, force: true });
  }
}

/** When a process started, in clock ticks since boot (proc_pid_stat(5), field 22); undefined when there is none. */
async function startTime(pid: string): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field is the program's name in brackets and may hold anything.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}
