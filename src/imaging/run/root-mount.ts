import { chmod, chown, lstat, mkdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../../model/command.ts';
import type { Entry } from '../cache/entries.ts';
import { isolated, STEPS_FOLDER } from './isolation.ts';

/**
 * Makes in a new folder what enter.sh needs for a root, and gives its part of the environment: of the first layer an empty
 * folder, otherwise an overlay on the layers. These go by short links, as all options of a mount have to fit one page.
 */
export async function layRoot(layers: readonly Entry[], folder: string): Promise<Record<string, string>> {
  for (const name of ['scratch', 'upper', 'overlay', 'root', 'layers'])
    await mkdir(join(folder, name), { recursive: true });
  const base = { ROOT: join(folder, 'root'), WORK: join(folder, 'scratch'), LIB: STEPS_FOLDER };
  const top = layers.at(-1);
  if (!top) {
    await chmod(base.ROOT, 0o755);
    return base;
  }
  for (const [index, { content }] of layers.entries())
    await symlink(content, join(folder, 'layers', `${index}`));
  // The top of an overlay has the attributes of the upper layer's.
  const { mode, uid, gid } = await lstat(top.content);
  const upper = join(folder, 'upper');
  await chown(upper, uid, gid);
  await chmod(upper, mode & 0o7777);
  const lower = layers.map((_, index) => `../layers/${index}`).toReversed();
  return { ...base, LOWER: lower.join(':'), UPPER: '../upper', OVERLAY_WORK: '../overlay' };
}

/** Runs a script of ours on a root as it is; what it would change is thrown away. */
export async function runOnRoot(
  layers: readonly Entry[],
  script: string,
  args: readonly string[],
  by: {
    readonly run: Run;
    /** A folder on the file system of the layers. */
    readonly work: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<string> {
  const folder = join(by.work, `root.${crypto.randomUUID().slice(0, 8)}`);
  try {
    const env = { ...(await layRoot(layers, folder)), ...by.env };
    const [program, argv] = isolated(script, { args });
    return await by.run(program, argv, {
      env,
      ...(by.signal ? { signal: by.signal, killSignal: 'SIGKILL' } : {}),
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
