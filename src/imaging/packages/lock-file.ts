import { Refusal } from '../../model/command.ts';
import type { Lock, LockedPackage, LockSection } from '../plan/step.ts';

const HEADER = 'netboot-lock 1';
const FETCH_ONLY = 'fetch-only';

/** image.lock: the exact packages of a build, one a line, so that `git diff` shows what an update brings. */
export function formatLock(lock: Lock): string {
  const steps = Object.entries(lock.steps).toSorted(([a], [b]) => compare(a, b));
  return [
    '# Made by "netboot build-image", obeyed by "netboot build-image --locked".',
    '# [step], its packages as "name version architecture sha256 size filename", "- name" for one that goes.',
    `${HEADER} ${lock.image}`,
    ...steps.flatMap(([id, section]) => ['', `[${id}]`, ...formatSection(section)]),
    '',
  ].join('\n');
}

function formatSection({ packages, removed }: LockSection): string[] {
  const lines = packages.map((one) =>
    [
      one.name,
      one.version,
      one.architecture,
      one.sha256,
      one.size,
      encodeURI(one.filename),
      ...(one.purpose === 'fetch only' ? [FETCH_ONLY] : []),
    ].join(' '),
  );
  return [...lines.toSorted(compare), ...removed.toSorted(compare).map((name) => `- ${name}`)];
}

/** @throws Refusal with file and line */
export function parseLock(text: string, file: string): Lock {
  const steps: Record<string, { packages: LockedPackage[]; removed: string[] }> = {};
  let image: string | undefined;
  let section: { packages: LockedPackage[]; removed: string[] } | undefined;
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    const wrong = (problem: string) =>
      new Refusal(
        `${file}:${index + 1}: ${problem}`,
        'Build without --locked, which writes a new lock, or take the file from where it was sound',
      );
    if (line === '' || line.startsWith('#')) continue;
    if (image === undefined) {
      image = new RegExp(`^${HEADER} (\\S+)$`).exec(line)?.[1];
      if (image === undefined) throw wrong(`a lock begins with "${HEADER} <image>"`);
      continue;
    }
    const heading = /^\[(\S+)\]$/.exec(line)?.[1];
    if (heading !== undefined) {
      if (Object.hasOwn(steps, heading)) throw wrong(`the step ${heading} comes twice`);
      section = steps[heading] = { packages: [], removed: [] };
    } else if (section === undefined) {
      throw wrong('a package stands before the first [step]');
    } else if (line.startsWith('- ')) {
      section.removed.push(line.slice(2));
    } else {
      const parsed = parsePackage(line);
      if (typeof parsed === 'string') throw wrong(parsed);
      section.packages.push(parsed);
    }
  }
  if (image === undefined) throw new Refusal(`${file}:1: the lock is empty`, 'Build without --locked');
  return { version: 1, image, steps };
}

/** The package, or what is wrong with the line. */
function parsePackage(line: string): LockedPackage | string {
  const [name, version, architecture, sha256, size, filename, mark, ...rest] = line.split(/\s+/);
  if (!name || !version || !architecture || !sha256 || !size || !filename || rest.length > 0)
    return 'a package is "name version architecture sha256 size filename"';
  if (!/^[a-z0-9][a-z0-9+.-]+$/.test(name)) return `"${name}" is no name of a package`;
  if (!/^[0-9A-Za-z.+~:-]+$/.test(version)) return `"${version}" is no version of a package`;
  if (!/^[a-z0-9-]+$/.test(architecture)) return `"${architecture}" is no architecture`;
  if (!/^[0-9a-f]{64}$/.test(sha256)) return `"${sha256}" is no SHA-256`;
  if (!/^[1-9]\d{0,11}$/.test(size)) return `"${size}" is no size in bytes`;
  if (mark !== undefined && mark !== FETCH_ONLY)
    return `"${mark}" is unknown: only "${FETCH_ONLY}" may follow`;
  const path = decoded(filename);
  if (path === undefined || path.startsWith('/') || path.split('/').includes('..'))
    return `"${filename}" is no path in an archive`;
  return {
    name,
    version,
    architecture,
    sha256,
    size: Number(size),
    filename: path,
    purpose: mark === FETCH_ONLY ? 'fetch only' : 'install',
  };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURI(text);
  } catch {
    return undefined;
  }
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
