import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type EntryKind, entryFolder, findEntry, removeEntry } from './entries.ts';

interface Candidate {
  readonly kind: EntryKind | 'download';
  /** Of a download its SHA-256. */
  readonly key: string;
  readonly bytes: number;
  readonly usedAt: number;
  readonly parent?: string | undefined;
}

export interface Collected {
  /** What was removed, and what is left. */
  readonly removed: number;
  readonly freed: number;
  readonly bytes: number;
}

/**
 * Removes what was used longest ago until the cache has no more than `limit` bytes. What is in `keep` stays, and so does a
 * layer as long as another one stands on it. Only for who holds the build lock.
 * @param trash a folder of the caller's own on the same file system.
 */
export async function collectGarbage(
  cache: string,
  { limit, keep, trash }: { limit: number; keep: ReadonlySet<string>; trash: string },
): Promise<Collected> {
  const all = [
    ...(await entries(cache, 'layer')),
    ...(await entries(cache, 'artifact')),
    ...(await downloads(cache)),
  ];
  let bytes = all.reduce((sum, one) => sum + one.bytes, 0);
  const children = new Map<string, number>();
  for (const { parent } of all)
    if (parent !== undefined) children.set(parent, (children.get(parent) ?? 0) + 1);
  const open = all.filter(({ key }) => !keep.has(key)).toSorted((a, b) => a.usedAt - b.usedAt);
  let removed = 0;
  let freed = 0;
  while (bytes > limit) {
    const index = open.findIndex(({ kind, key }) => kind !== 'layer' || !children.get(key));
    const [oldest] = index === -1 ? [] : open.splice(index, 1);
    if (!oldest) break;
    await remove(cache, oldest, trash);
    if (oldest.parent !== undefined) children.set(oldest.parent, (children.get(oldest.parent) ?? 1) - 1);
    bytes -= oldest.bytes;
    freed += oldest.bytes;
    removed++;
  }
  return { removed, freed, bytes };
}

async function entries(cache: string, kind: EntryKind): Promise<Candidate[]> {
  const found: Candidate[] = [];
  for (const key of await readdir(join(cache, `${kind}s`)).catch(() => [])) {
    const entry = await findEntry(cache, kind, key);
    const file = join(entryFolder(cache, kind, key), `${kind}.json`);
    const { mtimeMs = 0 } = (await stat(file).catch(() => undefined)) ?? {};
    found.push({ kind, key, bytes: entry?.bytes ?? 0, usedAt: mtimeMs, parent: entry?.parent });
  }
  return found;
}

async function downloads(cache: string): Promise<Candidate[]> {
  const folder = join(cache, 'downloads');
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.deb'));
  const found = names.map(async (name): Promise<Candidate[]> => {
    const stats = await stat(join(folder, name)).catch(() => undefined);
    if (!stats) return [];
    return [{ kind: 'download', key: name.slice(0, -4), bytes: stats.blocks * 512, usedAt: stats.mtimeMs }];
  });
  return (await Promise.all(found)).flat();
}

async function remove(cache: string, { kind, key }: Candidate, trash: string): Promise<void> {
  if (kind === 'download') await rm(join(cache, 'downloads', `${key}.deb`), { force: true });
  else await removeEntry(cache, kind, key, trash);
}
