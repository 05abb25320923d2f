import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Refusal } from '../../model/command.ts';
import { type DebianMirrors, findMirrors } from './apt-sources.ts';

/** The Debian mirrors this host's apt uses; `aptFolder` is /etc/apt. @throws Refusal when it has none. */
export async function readMirrors(aptFolder: string): Promise<DebianMirrors> {
  const parts = join(aptFolder, 'sources.list.d');
  const names = await readdir(parts).catch(() => []);
  const paths = [join(aptFolder, 'sources.list'), ...names.toSorted().map((name) => join(parts, name))];
  const files = await Promise.all(
    paths
      .filter((path) => /\.(list|sources)$/.test(path))
      .map(async (name) => ({ name, text: await readFile(name, 'utf8').catch(() => '') })),
  );
  const mirrors = findMirrors(files);
  if (!mirrors) {
    throw new Refusal(
      `No Debian mirror among the apt sources in ${aptFolder}`,
      'Name one in the recipe: "mirror: http://…/debian"',
    );
  }
  const { main, security } = mirrors;
  return { main: await resolveList(main), security: security && (await resolveList(security)) };
}

/** Debian's cloud images name a file that lists mirrors (apt-transport-mirror(1)): its first one. */
async function resolveList(uri: string): Promise<string> {
  const file = /^mirror\+file:(?:\/\/)?(\/.+)/.exec(uri)?.[1];
  if (!file) return uri;
  const [first = uri] = (await readFile(file, 'utf8')).split(/\s+/).filter((word) => /^https?:/.test(word));
  return first.replace(/\/+$/, '');
}
