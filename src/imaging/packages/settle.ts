import { basename } from 'node:path';
import { Refusal } from '../../model/command.ts';
import type { LockedPackage, LockSection, PackageRequest } from '../plan/step.ts';
import { type Apt, openApt } from './apt.ts';
import { lockedPackage, parseSimulation, parseStanzas } from './apt-output.ts';
import type { PackageContext } from './context.ts';
import { readLocalDeb } from './local-debs.ts';
import { needArchives } from './sources.ts';

/** The smallest Debian that can install more, as in `mmdebstrap --variant=minbase`. */
const MINBASE = ['?essential', '?priority(required)', 'apt'];

/**
 * Settles which package files exactly a step is to have, by the archive as it is now; nothing of them is fetched.
 * @throws Refusal that names the package, the suite or the mirror.
 */
export async function settlePackages(request: PackageRequest, context: PackageContext): Promise<LockSection> {
  const local = await Promise.all(request.local.map((file) => readLocalDeb(context.run, file)));
  refuseForeign(local, request);
  await using apt = await openApt(request, context);
  await refresh(apt, request, context);

  const wanted = [
    ...(isBase(request) ? MINBASE : []),
    // Otherwise Debian 12 takes Perl in, to merge folders that are merged from the start.
    ...(isBase(request) && request.suite === 'bookworm' ? ['usr-is-merged'] : []),
    ...request.add,
    ...request.local,
    ...request.remove.map((name) => `${name}-`),
  ];
  const { install, remove } =
    wanted.length > 0 || request.upgrade
      ? parseSimulation(
          await apt.tell('apt-get', ['--simulate', request.upgrade ? 'full-upgrade' : 'install', ...wanted]),
        )
      : { install: [], remove: [] };

  const same = (a: LockedPackage, b: (typeof install)[number]) =>
    a.name === b.name &&
    a.version === b.version &&
    (a.architecture === b.architecture || a.architecture === 'all');
  const own = local.filter((one) => install.some((other) => same(one, other)));
  const fromArchive = install.filter((one) => !own.some((other) => same(other, one)));
  const packages = [
    ...own,
    ...(await describe(apt, fromArchive)),
    ...(await candidates(apt, request.fetchOnly)),
  ];
  return {
    packages: packages.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)),
    removed: remove.toSorted(),
  };
}

/** A root from nothing, and not merely some files of a suite's archive. */
const isBase = ({ onto, fetchOnly }: PackageRequest) => onto === 'debian' && fetchOnly.length === 0;

/** Without an archive to be reached, packages that lie beside the recipe can still be had (a network without an exit). */
async function refresh(apt: Apt, request: PackageRequest, context: PackageContext): Promise<void> {
  const onlyLocal =
    request.onto === 'root' && request.add.length === 0 && request.fetchOnly.length === 0 && !request.upgrade;
  if (onlyLocal && request.local.length === 0) return;
  if (!onlyLocal) needArchives(apt.sources);
  try {
    await apt.update();
  } catch (error) {
    if (!onlyLocal || !(error instanceof Refusal)) throw error;
    context.onLine(`${error.message}; only packages beside the recipe are used`);
  }
}

function refuseForeign(local: readonly LockedPackage[], request: PackageRequest): void {
  for (const [index, { architecture }] of local.entries()) {
    if (architecture === request.arch || architecture === 'all') continue;
    throw new Refusal(
      `${basename(request.local[index] ?? '')} is for ${architecture}, the image is for ${request.arch}`,
      'Correct "packages.local" in the recipe',
    );
  }
}

/** The archive's own words on exactly these versions. */
async function describe(
  apt: Apt,
  packages: readonly { readonly name: string; readonly version: string; readonly architecture: string }[],
): Promise<LockedPackage[]> {
  if (packages.length === 0) return [];
  const names = packages.map(({ name, version, architecture }) =>
    architecture === 'all' ? `${name}=${version}` : `${name}:${architecture}=${version}`,
  );
  const stanzas = parseStanzas(await apt.tell('apt-cache', ['show', ...names]));
  const described = new Map(
    stanzas.toReversed().flatMap((fields) => {
      const locked = lockedPackage(fields, 'install');
      return locked ? [[identity(locked), locked] as const] : [];
    }),
  );
  return packages.map((one) => {
    const found = described.get(identity(one));
    if (found) return found;
    throw new Refusal(
      `The archive gives no SHA-256 for ${one.name} ${one.version} (${one.architecture})`,
      'Use an archive that does, or add the package as a file ("packages.local")',
    );
  });
}

const identity = (one: { name: string; version: string; architecture: string }) =>
  `${one.name} ${one.version} ${one.architecture}`;

/** What installing each of these would take first, whatever it needs. */
async function candidates(apt: Apt, names: readonly string[]): Promise<LockedPackage[]> {
  if (names.length === 0) return [];
  // "show" fails when it knows none of them.
  const known = new Set((await apt.tell('apt-cache', ['pkgnames'])).split('\n'));
  const there = names.filter((name) => known.has(name));
  const shown = there.length > 0 ? await apt.tell('apt-cache', ['--no-all-versions', 'show', ...there]) : '';
  const found = parseStanzas(shown).flatMap((fields) => lockedPackage(fields, 'fetch only') ?? []);
  const missing = names.find((name) => !found.some((one) => one.name === name));
  if (missing === undefined) return found;
  throw new Refusal(
    `The archive has no package "${missing}"`,
    'Correct "boot.loaders" in the recipe, or use a newer Debian',
  );
}
