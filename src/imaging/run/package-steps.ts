import { basename } from 'node:path';
import { Refusal } from '../../model/command.ts';
import type { Entry } from '../cache/entries.ts';
import { requestKey } from '../cache/key.ts';
import { readNote, writeNote } from '../cache/notes.ts';
import { hashFile } from '../hash-file.ts';
import type { PackageContext } from '../packages/context.ts';
import { settlePackages } from '../packages/settle.ts';
import type { Lock, LockSection, PackageRequest, Step } from '../plan/step.ts';
import { runOnRoot } from './root-mount.ts';

/** What a request was resolved to before, or what the lock says; undefined when the archive has to be asked. */
export async function knownSection(
  step: Step,
  parent: string | undefined,
  from: { readonly cache: string; readonly lock?: Lock | undefined; readonly update?: boolean | undefined },
): Promise<LockSection | undefined> {
  if (!step.packages) return undefined;
  if (from.lock) return lockedSection(from.lock, step.id, step.packages);
  if (from.update) return undefined;
  return (await readNote(from.cache, 'locks', await memoryKey(step.packages, parent))) as
    | LockSection
    | undefined;
}

/** @throws Refusal when the recipe asks for what the lock has not. */
function lockedSection(lock: Lock, id: string, { add }: PackageRequest): LockSection {
  const remedy = 'Build without --locked: that settles it anew, and the new lock is in the generation';
  const section = lock.steps[id];
  if (!section)
    throw new Refusal(`The lock of ${lock.image} has nothing for ${id}: the recipe has changed`, remedy);
  const names = new Set(
    Object.values(lock.steps).flatMap(({ packages }) => packages.map(({ name }) => name)),
  );
  const missing = add.find((name) => !names.has(name));
  if (missing === undefined) return section;
  throw new Refusal(`The lock of ${lock.image} has no "${missing}", which ${id} asks for`, remedy);
}

/** Asks the archive, and remembers the answer. */
export async function settleSection(
  request: PackageRequest,
  parent: string | undefined,
  context: PackageContext & { readonly cache: string },
): Promise<LockSection> {
  const section = await settlePackages(request, context);
  await writeNote(context.cache, 'locks', await memoryKey(request, parent), section, context.workFolder);
  return section;
}

/** By what the answer depends on. What is only fetched from a given suite is the same for every root. */
async function memoryKey(request: PackageRequest, parent: string | undefined): Promise<string> {
  const local = await Promise.all(
    request.local.map(async (file) => [basename(file), await hashFile(file)] as const),
  );
  const { add, remove, upgrade, suite } = request;
  const isOnlyFetched = suite !== undefined && add.length + remove.length + local.length === 0 && !upgrade;
  return requestKey({ ...request, local }, isOnlyFetched ? undefined : parent);
}

/** {@link PackageContext.copyFromRoot} for a root made of these layers. */
export function copierFrom(
  layers: readonly Entry[],
  by: Parameters<typeof runOnRoot>[3],
): NonNullable<PackageContext['copyFromRoot']> {
  return async (paths, target) => {
    await runOnRoot(layers, 'copy-out', [target, ...paths], by);
  };
}
