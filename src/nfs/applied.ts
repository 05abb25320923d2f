import type { Run } from '../model/command.ts';
import type { Instant } from '../model/lease.ts';
import type { Log } from '../model/log.ts';
import type { Bounds } from './confine.ts';
import { isSameExport } from './diff.ts';
import type { Export } from './export.ts';

export interface ExporterOptions extends Bounds {
  readonly run: Run;
  readonly log: Log;
  /** Where we keep what has to outlive a restart; not below /run. */
  readonly stateFolder: string;
  readonly now?: () => Instant;
}

/** One export as it is now. */
export interface ExportState {
  readonly path: string;
  readonly clients: readonly string[];
  /** By their names in exports(5). */
  readonly options: readonly string[];
  /** Since when it has been served like this; absent while it is not. */
  readonly since?: Instant | undefined;
  /** Why it is not served, or what is wrong with it, in words. */
  readonly problem?: string | undefined;
  /** What should be known of it, in words, while it is served. */
  readonly remark?: string | undefined;
  /** Not all of it could be made yet. */
  readonly isIncomplete?: boolean | undefined;
}

/** What serves the exports. */
export interface Exporter {
  /** `unit`: another process of ours, with the rights to mount and export, does it. */
  readonly kind: 'kernel' | 'ganesha' | 'unit' | 'none';
  /**
   * Makes `desired` what is exported, no more and no less. Calls are worked off one after the other; the same list
   * again changes nothing. An export that cannot be served is a `problem` in the state and does not hinder the others.
   * @throws Refusal or CommandError when nothing can be served at all.
   */
  apply(desired: readonly Export[]): Promise<void>;
  state(): { readonly exports: readonly ExportState[] };
  stop(): Promise<void>;
}

export interface AppliedExport {
  readonly entry: Export;
  readonly since?: Instant;
  readonly problem?: string;
  readonly remark?: string;
  readonly isIncomplete?: boolean;
}

/** What came of making an export ready: a `problem` keeps it from being served. */
export interface Prepared {
  readonly problem?: string | undefined;
  readonly remark?: string | undefined;
  readonly isIncomplete?: boolean | undefined;
}

/** What is wrong with which exports, and what should be known of them, by their paths. */
export interface Preparation {
  readonly problems: Map<string, string>;
  readonly remarks: Map<string, string>;
  /** They are served, and not all of them could be made. */
  readonly incomplete: Set<string>;
}

/** Each once, for as long as it stays: what cannot be served is tried again and again. */
export function tellProblems(
  log: Log,
  before: readonly AppliedExport[],
  problems: ReadonlyMap<string, string>,
): void {
  const known = new Map(before.map(({ entry, problem }) => [entry.path, problem]));
  for (const [path, problem] of problems)
    if (problem !== known.get(path)) log.error({ id: 'NFS_EXPORT_FAILED', path }, `${path}: ${problem}`);
}

/** The state after an application: an export served as before keeps its `since`. */
export function afterApplying(
  before: readonly AppliedExport[],
  desired: readonly Export[],
  { problems, remarks, incomplete }: Preparation,
  now: Instant,
): AppliedExport[] {
  return desired.map((entry) => {
    const problem = problems.get(entry.path);
    if (problem !== undefined) return { entry, problem };
    const old = before.find((each) => each.entry.path === entry.path);
    const since = old?.since !== undefined && isSameExport(old.entry, entry) ? old.since : now;
    const remark = remarks.get(entry.path);
    return {
      entry,
      since,
      ...(remark === undefined ? {} : { remark }),
      ...(incomplete.has(entry.path) ? { isIncomplete: true } : {}),
    };
  });
}

export function exportState({ entry, since, problem, remark, isIncomplete }: AppliedExport): ExportState {
  return {
    path: entry.path,
    clients: entry.clients,
    options: entry.options,
    ...(since === undefined ? {} : { since }),
    ...(problem === undefined ? {} : { problem }),
    ...(remark === undefined ? {} : { remark }),
    ...(isIncomplete ? { isIncomplete } : {}),
  };
}
