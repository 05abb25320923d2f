import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Refusal } from '../../model/command.ts';
import type { PackageRequest } from '../plan/step.ts';
import type { AptPlaces } from './apt-conf.ts';
import { type DebianMirrors, parseDeb822, parseOneLine } from './apt-sources.ts';
import type { PackageContext } from './context.ts';
import { readMirrors } from './mirror.ts';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
/** They have neither updates nor a security archive of their own. */
const ROLLING = ['sid', 'unstable', 'experimental'];

/** Where a request's packages come from. */
export interface Sources {
  readonly places: Pick<AptPlaces, 'sourceList' | 'sourceParts' | 'trustedParts' | 'preferencesParts'>;
  /** Base addresses that a package's file name is relative to. */
  readonly archives: readonly string[];
  /** The same for the same sources, wherever their files lie. */
  readonly identity: string;
  /** An archive that somebody named, maybe for its age, is not refused for that. */
  readonly mayBeOld: boolean;
}

/** What tells a root's own sources, in it. */
export const SOURCE_PATHS = [
  'etc/apt/sources.list',
  'etc/apt/sources.list.d',
  'etc/apt/trusted.gpg.d',
  'etc/apt/keyrings',
  'etc/apt/preferences.d',
  'usr/share/keyrings',
];

/**
 * The sources of a suite of Debian, at the recipe's mirror or the host's; without a suite the own ones of the root whose
 * `SOURCE_PATHS` were copied to `root`. Files for apt are written below `folder`.
 */
export async function settleSources(
  request: PackageRequest,
  context: PackageContext,
  folder: string,
  root: string,
): Promise<Sources> {
  return request.suite === undefined
    ? rootSources(root, folder)
    : debianSources(request, request.suite, context, folder);
}

async function debianSources(
  request: PackageRequest,
  suite: string,
  context: PackageContext,
  folder: string,
): Promise<Sources> {
  const { main, security, alsoSecurity } = await mirrorsOf(request, context);
  const entry = (uri: string, name: string) =>
    `deb [signed-by=${context.keyring ?? KEYRING}] ${uri} ${name} ${(request.components ?? ['main']).join(' ')}\n`;
  const stable = !ROLLING.includes(suite);
  const text = [
    entry(main, suite),
    ...(stable ? [entry(main, `${suite}-updates`)] : []),
    ...(stable && security ? [entry(security, `${suite}-security`)] : []),
  ].join('');
  const sourceList = join(folder, 'sources.list');
  await writeFile(sourceList, text);
  return {
    places: { sourceList },
    archives: [main, ...[security ?? alsoSecurity].filter((uri) => uri !== undefined)],
    identity: text,
    mayBeOld: request.mirror !== undefined,
  };
}

/**
 * The recipe's mirror or the host's. Where the recipe names only the main archive, a snapshot of the security archive of
 * that time lies beside it; of any other mirror it may, for a file that a lock wants.
 */
async function mirrorsOf(
  request: PackageRequest,
  context: PackageContext,
): Promise<DebianMirrors & { readonly alsoSecurity?: string | undefined }> {
  if (request.mirror === undefined) return readMirrors(context.aptFolder);
  const main = request.mirror.replace(/\/+$/, '');
  const [, before, time] = /^(.*\/debian)(\/\d{8}T\d{6}Z)?$/.exec(main) ?? [];
  const beside = before && `${before}-security${time ?? ''}`;
  return { main, security: time && beside, alsoSecurity: beside };
}

async function rootSources(root: string, folder: string): Promise<Sources> {
  const apt = join(root, 'etc/apt');
  const names = (await readdir(join(apt, 'sources.list.d')).catch(() => [])).toSorted();
  const paths = ['sources.list', ...names.map((name) => join('sources.list.d', name))];
  const parts = join(folder, 'sources.list.d');
  await mkdir(parts, { recursive: true });
  const files: { name: string; text: string }[] = [];
  for (const path of paths.filter((name) => /\.(list|sources)$/.test(name))) {
    const text = await readFile(join(apt, path), 'utf8').catch(() => '');
    files.push({ name: path, text });
    // Keys are named by their place in the root.
    const placed = text.replace(/\/(usr\/share|etc\/apt)\/keyrings\//g, (inside) => join(root, inside));
    await writeFile(join(parts, basename(path)), placed);
  }
  const sources = files.flatMap(({ name, text }) =>
    name.endsWith('.sources') ? parseDeb822(text) : parseOneLine(text),
  );
  return {
    places: {
      sourceList: '/dev/null',
      sourceParts: parts,
      trustedParts: join(apt, 'trusted.gpg.d'),
      preferencesParts: join(apt, 'preferences.d'),
    },
    archives: [...new Set(sources.map(({ uri }) => uri))],
    identity: JSON.stringify(files.map(({ text }) => text)),
    mayBeOld: false,
  };
}

/** The archive of a root that has none. */
export function needArchives(sources: Sources): void {
  if (sources.archives.length > 0) return;
  throw new Refusal(
    'The base image names no package archive in its /etc/apt',
    'Give the recipe the packages as files ("packages.local"), or the base image a sources.list',
  );
}
