import { mkdir, open, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { Run } from '../../model/command.ts';

/** `layers/<key>/root/` and `artifacts/<key>/out/`, each with a `<kind>.json` and the log of the step that made it. */
export type EntryKind = 'layer' | 'artifact';
const CONTENT = { layer: 'root', artifact: 'out' } as const;

const entrySchema = z.object({
  key: z.string(),
  /** Id and name of the step that made it. */
  step: z.string(),
  name: z.string(),
  /** The layer below; of the first there is none. */
  parent: z.string().optional(),
  /** What the builds on it take for the time, in seconds since 1970. */
  epoch: z.number().optional(),
  bytes: z.number(),
  seconds: z.number(),
  /** When it was made. */
  at: z.string(),
});

export type EntryFacts = z.output<typeof entrySchema>;

export interface Entry extends EntryFacts {
  readonly kind: EntryKind;
  /** With the content in it, which is never changed. */
  readonly content: string;
  readonly log: string;
}

export const entryFolder = (cache: string, kind: EntryKind, key: string) => join(cache, `${kind}s`, key);

/** What the cache has under a key. Whatever is there is whole, as it came by one rename. */
export async function findEntry(cache: string, kind: EntryKind, key: string): Promise<Entry | undefined> {
  const folder = entryFolder(cache, kind, key);
  const text = await readFile(join(folder, `${kind}.json`), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const content = join(folder, CONTENT[kind]);
  if (!(await stat(content).catch(() => undefined))?.isDirectory()) return undefined;
  return { ...entrySchema.parse(JSON.parse(text)), kind, content, log: join(folder, 'step.log') };
}

/** What was made, on the way into the cache: `stage` is an empty folder of this build's own, on the cache's file system. */
export interface Commit {
  readonly kind: EntryKind;
  readonly facts: Omit<EntryFacts, 'bytes'>;
  readonly content: string;
  readonly log: readonly string[];
  readonly stage: string;
}

/** Everything written through to the disk, then one rename. */
export async function commitEntry(cache: string, run: Run, commit: Commit): Promise<Entry> {
  const { kind, facts, stage } = commit;
  const bytes = await diskUsage(run, commit.content);
  const fresh = join(stage, 'new');
  await mkdir(fresh);
  await rename(commit.content, join(fresh, CONTENT[kind]));
  await writeFile(join(fresh, `${kind}.json`), `${JSON.stringify({ ...facts, bytes }, undefined, 2)}\n`);
  await writeFile(join(fresh, 'step.log'), commit.log.map((line) => `${line}\n`).join(''));
  await run('sync', ['--file-system', fresh]);
  const folder = entryFolder(cache, kind, facts.key);
  await mkdir(dirname(folder), { recursive: true });
  // Only there when it was asked to be made anew.
  await rename(folder, join(stage, 'old')).catch(ignore('ENOENT'));
  await rename(fresh, folder);
  await flushFolder(dirname(folder));
  return { ...facts, bytes, kind, content: join(folder, CONTENT[kind]), log: join(folder, 'step.log') };
}

/** Marks it as used now: what was used longest ago goes first. */
export async function touchEntry(cache: string, { kind, key }: Entry, now: Date): Promise<void> {
  await utimes(join(entryFolder(cache, kind, key), `${kind}.json`), now, now).catch(ignore('ENOENT'));
}

/** By one rename out of sight, so that nobody finds half of it; `trash` is a folder of the caller's own. */
export async function removeEntry(cache: string, kind: EntryKind, key: string, trash: string): Promise<void> {
  await mkdir(trash, { recursive: true });
  const going = join(trash, key);
  await rename(entryFolder(cache, kind, key), going).catch(ignore('ENOENT'));
  await rm(going, { recursive: true, force: true });
}

async function diskUsage(run: Run, folder: string): Promise<number> {
  return Number.parseInt(await run('du', ['--summarize', '--block-size=1', folder]), 10);
}

async function flushFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r');
  await handle.sync();
}

const ignore = (code: string) => (error: NodeJS.ErrnoException) => {
  if (error.code !== code) throw error;
};
