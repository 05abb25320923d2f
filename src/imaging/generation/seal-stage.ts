import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** The folder a generation is gathered in, beside the sealed ones; gone with the scope unless it was renamed. */
export interface SealStage extends AsyncDisposable {
  readonly path: string;
}

/** Its name says whose it is: `.sealing.<pid>.<start time of that process>.<anything>`. */
export async function takeSealStage(generationsFolder: string): Promise<SealStage> {
  await clearSealStages(generationsFolder);
  const owner = `${process.pid}.${await startTime(process.pid)}`;
  const path = join(generationsFolder, `.sealing.${owner}.${crypto.randomUUID().slice(0, 8)}`);
  await mkdir(path, { mode: 0o755 });
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Removes the half generations of processes that are no more. */
export async function clearSealStages(generationsFolder: string): Promise<void> {
  const names = await readdir(generationsFolder).catch(() => []);
  for (const name of names.filter((each) => each === '.sealing' || each.startsWith('.sealing.'))) {
    const owner = /^\.sealing\.(\d+)\.(\d+)\./.exec(name);
    if (owner && owner[2] === (await startTime(Number(owner[1])))) continue;
    await rm(join(generationsFolder, name), { recursive: true, force: true });
  }
}

/** When a process started, in clock ticks since boot (proc_pid_stat(5), field 22); undefined when there is none. */
async function startTime(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field is the program's name in brackets and may hold anything.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
}
