import { readdir, readFile, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CommandError } from '../model/command.ts';
import { oneAtATime } from '../model/one-at-a-time.ts';
import {
  type AppliedExport,
  afterApplying,
  type Exporter,
  type ExporterOptions,
  exportState,
  tellProblems,
} from './applied.ts';
import { describeChange, diffExports } from './diff.ts';
import { readIfThere, writeDurably } from './durable-file.ts';
import type { Export } from './export.ts';
import { parseMountInfo } from './mounts.ts';
import { foreignLines, parseExports } from './parse.ts';
import { prepareExports } from './prepare.ts';
import { renderExports } from './render-exports.ts';
import { unmount } from './sealed-mount.ts';

export interface KernelOptions extends ExporterOptions {
  /** Our own file; its folder's other files and `foreignFile` are read for warnings and never written. */
  readonly exportsFile?: string;
  readonly foreignFile?: string;
  readonly mountInfoFile?: string;
}

/**
 * Serves the exports by the kernel's nfsd: sealed roots are mounted in the host, our file is written, `exportfs` reads
 * it. What an earlier run left is taken over or removed by the first `apply`. Stopping leaves the exports as they are:
 * nfsd is not ours, and running Pis do not notice that the service restarts.
 */
export function openKernel(options: KernelOptions): Exporter {
  const { run, log, exportsFolder, now = Date.now } = options;
  const exportsFile = options.exportsFile ?? '/etc/exports.d/netboot.exports';
  const foreignFile = options.foreignFile ?? '/etc/exports';
  const mountInfoFile = options.mountInfoFile ?? '/proc/self/mountinfo';
  const inTurn = oneAtATime();
  let applied: AppliedExport[] = [];
  let warned = '';

  const mountedRoots = async (): Promise<Set<string>> => {
    const mounts = parseMountInfo(await readFile(mountInfoFile, 'utf8'));
    const ours = mounts.filter(
      ({ path, type }) => type === 'squashfs' && path.startsWith(`${exportsFolder}/images/`),
    );
    return new Set(ours.map(({ path }) => path));
  };

  const warnOfForeignLines = async (desired: readonly Export[]) => {
    const folder = dirname(exportsFile);
    const names = await readdir(folder).catch(() => []);
    const files = names.filter((name) => name.endsWith('.exports')).map((name) => `${folder}/${name}`);
    const paths = new Set(desired.map(({ path }) => path));
    const found: string[] = [];
    for (const file of [foreignFile, ...files.filter((each) => each !== exportsFile)]) {
      for (const line of foreignLines((await readIfThere(file)) ?? '', paths))
        found.push(`${file}:${line.line} also exports ${line.path}`);
    }
    const text = found.join('; ');
    if (text !== '' && text !== warned)
      log.warn({ id: 'NFS_FOREIGN_EXPORT' }, `${text}. It is left alone; remove it so that ours holds.`);
    warned = text;
  };

  const mountRoots = async (exports: readonly Export[], problems: Map<string, string>) => {
    const mounted = await mountedRoots();
    for (const { path, squashfs } of exports) {
      if (squashfs === undefined || mounted.has(path)) continue;
      try {
        await run('mount', ['-t', 'squashfs', '-o', 'ro,nosuid,nodev,loop', squashfs, path]);
      } catch (error) {
        if (!(error instanceof CommandError)) throw error;
        problems.set(path, error.message);
      }
    }
  };

  /** `exportfs -ra` goes on past a line it cannot export, a foreign one too, and fails in the end: so it is asked. */
  const exportAll = async (exports: readonly Export[], problems: Map<string, string>) => {
    try {
      await run('exportfs', ['-ra']);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      const served = new Set(parseExports(await run('exportfs', ['-s'])).map(({ path }) => path));
      const refused = exports.filter(({ path, clients }) => clients.length > 0 && !served.has(path));
      for (const { path } of refused) problems.set(path, error.stderrTail);
      if (refused.length === 0)
        log.warn(
          { id: 'NFS_FOREIGN_EXPORT' },
          `exportfs stumbled over a line that is not ours: ${error.stderrTail}`,
        );
    }
  };

  const reconcile = async (desired: readonly Export[]): Promise<void> => {
    const preparation = await prepareExports(desired, options);
    const { problems } = preparation;
    const isSound = ({ path }: Export) => !problems.has(path);
    await warnOfForeignLines(desired);
    await mountRoots(desired.filter(isSound), problems);
    const sound = desired.filter(isSound);
    const text = renderExports(sound);
    if ((await readIfThere(exportsFile)) !== text) await writeDurably(exportsFile, text);
    await exportAll(sound, problems);
    const wanted = new Set(desired.map(({ path }) => path));
    for (const path of await mountedRoots()) {
      if (wanted.has(path)) continue;
      await unmount(run, path);
      await rmdir(path).catch(() => {});
    }
    const before = applied.map(({ entry }) => entry);
    for (const change of diffExports(before, desired))
      log.info({ id: 'NFS_EXPORTS_CHANGED', kind: change.kind }, describeChange(change));
    tellProblems(log, applied, problems);
    applied = afterApplying(applied, desired, preparation, now());
  };

  return {
    kind: 'kernel',
    apply: (desired) => inTurn(() => reconcile(desired)),
    state: () => ({ exports: applied.map(exportState) }),
    stop: () => inTurn(async () => {}),
  };
}
