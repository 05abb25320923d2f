import { constants } from 'node:fs';
import { copyFile, mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { LockedPackage, LockSection, PackageRequest } from '../plan/step.ts';
import { describeAptFailure } from './apt-failure.ts';
import type { PackageContext } from './context.ts';
import { download } from './download.ts';
import { readLocalDeb } from './local-debs.ts';
import { isSound, keep } from './store.ts';

/**
 * The files of a section by their SHA-256, each checked against it: from the downloads, from beside the recipe, else from
 * the request's archives into the downloads, which all images share.
 * @throws Refusal when the archives no longer have one, or cannot be reached; what was fetched stays.
 */
export async function fetchPackages(
  section: LockSection,
  request: PackageRequest,
  context: PackageContext,
): Promise<ReadonlyMap<string, string>> {
  const downloads = resolve(context.downloadsFolder);
  await mkdir(downloads, { recursive: true });
  const place = (one: LockedPackage) => join(downloads, `${one.sha256}.deb`);
  const packages = [...new Map(section.packages.map((one) => [one.sha256, one])).values()];

  let missing: LockedPackage[] = [];
  for (const one of packages) if (!(await isSound(place(one), one))) missing.push(one);
  if (missing.length > 0) missing = await takeLocal(missing, request, context, place);
  if (missing.length > 0) await download(missing, request, context, place);
  return new Map(packages.map((one) => [one.sha256, place(one)]));
}

/** The ones that are not beside the recipe. */
async function takeLocal(
  missing: readonly LockedPackage[],
  request: PackageRequest,
  context: PackageContext,
  place: (one: LockedPackage) => string,
): Promise<LockedPackage[]> {
  const rest = new Map(missing.map((one) => [one.sha256, one]));
  for (const file of request.local) {
    const { sha256 } = await readLocalDeb(context.run, file);
    const one = rest.get(sha256);
    if (!one) continue;
    const copy = join(resolve(context.workFolder), `${sha256}.deb`);
    await copyFile(file, copy, constants.COPYFILE_FICLONE).catch((error: Error) => {
      const said = error.message.replace('ENOSPC: no', 'No');
      throw describeAptFailure(`${file} could not be copied`, [said], error);
    });
    if (await keep(copy, one, place(one))) rest.delete(sha256);
  }
  return [...rest.values()];
}
