import { mkdir, rmdir } from 'node:fs/promises';
import { z } from 'zod';
import { Refusal } from '../model/command.ts';
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
import { type GaneshaSession, openSession } from './ganesha-session.ts';
import { prepareExports } from './prepare.ts';
import { assignExportIds, renderGanesha } from './render-ganesha.ts';

const idsSchema = z.record(z.string(), z.int().min(1).max(65535));

/** A session that lived this long was healthy: the next death is answered without delay. */
const HEALTHY_MS = 60_000;
const LONGEST_DELAY_MS = 30_000;

/**
 * Serves the exports by NFS-Ganesha in a namespace of its own. When it dies, everything is built up again from the
 * last list: file handles are the same then, so that running Pis go on.
 */
export function openGanesha(options: ExporterOptions): Exporter {
  const { log, stateFolder, now = Date.now } = options;
  if (/^(\/var)?\/run(\/|$)/.test(stateFolder)) {
    throw new Refusal(
      `paths.state is ${stateFolder}, and Ganesha sees a /run of its own`,
      'Put it elsewhere, e.g. /var/lib/netboot',
    );
  }
  const folder = `${stateFolder}/nfs`;
  const configFile = `${folder}/ganesha.conf`;
  const idsFile = `${folder}/export-ids.json`;
  const inTurn = oneAtATime();
  let applied: AppliedExport[] = [];
  let session: GaneshaSession | undefined;
  let config = '';
  /** Paths that Ganesha, loaded with `config`, does not export. */
  let refused: string[] = [];
  let deaths = 0;
  let openedAt = 0;
  let retry: NodeJS.Timeout | undefined;
  let isStopped = false;

  const open = async (): Promise<GaneshaSession> => {
    await mkdir(`${folder}/recovery`, { recursive: true });
    let opened: GaneshaSession | undefined;
    opened = await openSession({
      run: options.run,
      log,
      configFile,
      pidFile: `${folder}/ganesha.pid`,
      onDeath: () => {
        if (session === opened) session = undefined;
        deaths = now() - openedAt > HEALTHY_MS ? 0 : deaths + 1;
        startAgain();
      },
    });
    openedAt = now();
    config = '';
    return opened;
  };

  const startAgain = () => {
    if (isStopped) return;
    const delay = deaths <= 1 ? 0 : Math.min(2 ** (deaths - 2) * 1000, LONGEST_DELAY_MS);
    clearTimeout(retry);
    retry = setTimeout(() => {
      inTurn(() => reconcile(applied.map(({ entry }) => entry))).then(
        () => log.info({ id: 'NFS_SERVER_RESTARTED' }, 'NFS-Ganesha serves again'),
        (error) =>
          log.error({ id: 'NFS_SERVER_RESTART_FAILED', err: error }, 'NFS-Ganesha did not come back'),
      );
    }, delay).unref();
  };

  const writeConfig = async (exports: readonly Export[]): Promise<boolean> => {
    const stored = await readIfThere(idsFile);
    const remembered = new Map(Object.entries(stored ? idsSchema.parse(JSON.parse(stored)) : {}));
    const paths = exports.map(({ path }) => path);
    const ids = assignExportIds(paths, remembered);
    if (ids.size > remembered.size)
      await writeDurably(idsFile, `${JSON.stringify(Object.fromEntries(ids), null, 2)}\n`);
    const text = renderGanesha(exports, ids, `${folder}/recovery`);
    if (text === config) return false;
    await writeDurably(configFile, text);
    config = text;
    return true;
  };

  /** Mounts, writes and (re)loads. False when there was nothing new to load. */
  const serve = async (exports: readonly Export[], problems: Map<string, string>): Promise<boolean> => {
    session ??= await open();
    for (const { path, squashfs } of exports) {
      if (squashfs === undefined || session.mounted.has(path)) continue;
      await session.mount(squashfs, path).catch((error) => problems.set(path, String(error.message)));
    }
    const sound = exports.filter(({ path, clients }) => !problems.has(path) && clients.length > 0);
    if (!(await writeConfig(sound))) return false;
    refused = (await session.serve(sound)).map(({ path }) => path);
    return true;
  };

  const reconcile = async (desired: readonly Export[]): Promise<void> => {
    if (isStopped) return;
    clearTimeout(retry);
    const preparation = await prepareExports(desired, options);
    const { problems } = preparation;
    const sound = desired.filter(({ path }) => !problems.has(path));
    try {
      if ((await serve(sound, problems)) && refused.length > 0) {
        log.warn({ id: 'NFS_RELOAD_FAILED', refused }, 'NFS-Ganesha is restarted to take its new exports');
        await closeSession();
        await serve(sound, problems);
      }
    } catch (error) {
      await closeSession();
      applied = desired.map((entry) => ({ entry, problem: String((error as Error).message) }));
      deaths++;
      startAgain();
      throw error;
    }
    for (const path of refused)
      problems.set(path, 'NFS-Ganesha does not export it; see its lines in the log');
    await unmountAllBut(new Set(sound.map(({ path }) => path)));
    report(desired, problems);
    applied = afterApplying(applied, desired, preparation, now());
  };

  const closeSession = async () => {
    const closing = session;
    session = undefined;
    await closing?.close();
  };

  const unmountAllBut = async (wanted: ReadonlySet<string>) => {
    for (const path of session?.mounted ?? []) {
      if (wanted.has(path)) continue;
      await session?.unmount(path).catch((error) => {
        log.warn({ id: 'NFS_UNMOUNT_FAILED', path, err: error }, `${path} stays mounted`);
      });
      await rmdir(path).catch(() => {});
    }
  };

  const report = (desired: readonly Export[], problems: ReadonlyMap<string, string>) => {
    const before = applied.map(({ entry }) => entry);
    for (const change of diffExports(before, desired)) {
      log.info({ id: 'NFS_EXPORTS_CHANGED', kind: change.kind }, describeChange(change));
    }
    tellProblems(log, applied, problems);
  };

  return {
    kind: 'ganesha',
    apply: (desired) => inTurn(() => reconcile(desired)),
    state: () => ({ exports: applied.map(exportState) }),
    async stop() {
      isStopped = true;
      clearTimeout(retry);
      // At once, so that a start under way gives up, and again for the session it may have opened meanwhile.
      await closeSession();
      await inTurn(closeSession);
    },
  };
}
