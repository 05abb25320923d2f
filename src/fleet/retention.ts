import type { StoredGeneration } from '../model/generation.ts';
import type { Instant } from '../model/lease.ts';
import type { Serial } from '../net/serial.ts';
import type { BootRecord } from './boots.ts';

/** All that decides which sealed generations stay. */
export interface RetentionFacts {
  readonly generations: ReadonlyArray<Pick<StoredGeneration, 'id' | 'image' | 'sealedAt'>>;
  /** Image → id. */
  readonly published: ReadonlyMap<string, string>;
  /** Image → the ids published before, the newest first. */
  readonly history: ReadonlyMap<string, readonly string[]>;
  readonly boots: readonly BootRecord[];
  /** Id → who needs it beside those, in words. */
  readonly held?: ReadonlyMap<string, readonly string[]> | undefined;
  /** Ids of those that a machine boots at this moment. */
  readonly pinned: ReadonlySet<string>;
  /** Ids of those that were withdrawn already: they were to be deleted. */
  readonly retired: ReadonlySet<string>;
  readonly nodeName: (serial: Serial) => string | undefined;
  /** How many of each image, beside the published one, to fall back to. */
  readonly keep: number;
  readonly now: Instant;
}

/** What becomes of a generation. */
export interface Verdict {
  readonly id: string;
  readonly image: string;
  /** Why it cannot be deleted, in words: who uses it. */
  readonly users: readonly string[];
  /** Nobody uses it, and yet it stays, because of this. */
  readonly reserve?: string | undefined;
}

/** A machine that is no node, or no longer one, runs for so long on what it booted; then it is thought to be gone. */
const STRANGER_MS = 30 * 24 * 60 * 60_000;

export const mayGo = ({ users, reserve }: Verdict): boolean => users.length === 0 && reserve === undefined;

/**
 * Which generations stay: what is published, what machines run or boot, the last ones published before, and as
 * many that were sealed after the published one, for somebody may be about to publish them. In the order given.
 */
export function retain(facts: RetentionFacts): Verdict[] {
  const running = runners(facts);
  const there = new Set(facts.generations.map(({ id }) => id).filter((id) => !facts.retired.has(id)));
  const present = (ids: readonly string[]) => ids.filter((id) => there.has(id));
  return facts.generations.map(({ id, image }) => {
    const published = facts.published.get(image);
    const users = [
      ...(published === id ? [`image ${image} stands for it`] : []),
      ...(running.get(id) ?? (facts.pinned.has(id) ? ['a machine boots it now'] : [])),
      ...(facts.held?.get(id) ?? []),
    ];
    const history = present(facts.history.get(image) ?? []);
    const isNew = newOnes(facts, image, published).slice(0, facts.keep).includes(id);
    const reserve = facts.retired.has(id)
      ? undefined
      : history.slice(0, facts.keep).includes(id)
        ? 'to fall back to'
        : isNew
          ? 'not published yet'
          : undefined;
    return { id, image, users, ...(users.length === 0 && reserve !== undefined ? { reserve } : {}) };
  });
}

/** Sealed after what is published of their image and never published, the newest first. */
function newOnes(
  { generations, history, retired }: RetentionFacts,
  image: string,
  published?: string,
): string[] {
  const { sealedAt = '' } = generations.find(({ id }) => id === published) ?? {};
  const isNew = (each: RetentionFacts['generations'][number]) =>
    each.image === image &&
    each.id !== published &&
    !retired.has(each.id) &&
    !history.get(image)?.includes(each.id);
  return generations
    .filter((each) => isNew(each) && (sealedAt === '' || Date.parse(each.sealedAt) > Date.parse(sealedAt)))
    .toSorted((a, b) => Date.parse(b.sealedAt) - Date.parse(a.sealedAt))
    .map(({ id }) => id);
}

/** Generation → who runs it. Until a machine has its kernel, what it booted before may still run: perhaps somebody else asked. */
function runners({ boots, nodeName, now }: RetentionFacts): Map<string, string[]> {
  const users = new Map<string, string[]>();
  const add = (id: string, user: string) => users.set(id, [...(users.get(id) ?? []), user]);
  for (const { serial, generation, before, good, since } of boots) {
    const name = nodeName(serial);
    if (name === undefined && now - since > STRANGER_MS) continue;
    const who = name === undefined ? `machine ${serial}, which is no node,` : `node ${name}`;
    add(generation, `${who} booted it at ${new Date(since).toISOString()}`);
    if (before !== undefined) add(before, `${who} may still run it`);
    // A stranger never reports, so it has none.
    if (good !== undefined && good !== generation && good !== before) add(good, `${who} falls back to it`);
  }
  return users;
}
