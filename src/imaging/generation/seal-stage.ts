import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startTime } from '../run/start-time.ts';

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
