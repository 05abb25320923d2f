import type { LockedPackage } from '../plan/step.ts';

/** What `apt-get --simulate` says it would do. */
export interface Simulation {
  readonly install: readonly {
    readonly name: string;
    readonly version: string;
    readonly architecture: string;
  }[];
  readonly remove: readonly string[];
}

/** Lines like `Inst libc6 [2.36-9] (2.41-12 Debian:13.1/stable [arm64])` and `Remv nginx [1.26.3-3]`. */
export function parseSimulation(output: string): Simulation {
  const install: { name: string; version: string; architecture: string }[] = [];
  const remove: string[] = [];
  for (const line of output.split('\n')) {
    const [, name, version, architecture] =
      /^Inst (\S+) (?:\[[^\]]*\] )?\((\S+) (?:.* )?\[([a-z0-9-]+)\]\)/.exec(line) ?? [];
    if (name && version && architecture) install.push({ name: bare(name), version, architecture });
    const removed = /^(?:Remv|Purg) (\S+)/.exec(line)?.[1];
    if (removed) remove.push(bare(removed));
  }
  return { install, remove };
}

/** The stanzas of `apt-cache show` and `dpkg-deb --field`: fields by name, folded lines left out. */
export function parseStanzas(output: string): ReadonlyMap<string, string>[] {
  return output
    .split(/\n\s*\n/)
    .map(
      (stanza) =>
        new Map(
          [...stanza.matchAll(/^([\w-]+):[ \t]*(.*)$/gm)].map(([, key = '', value = '']) => [key, value]),
        ),
    )
    .filter((fields) => fields.has('Package'));
}

/** A stanza of an archive's index as a locked package; undefined when the archive does not tell the SHA-256. */
export function lockedPackage(
  fields: ReadonlyMap<string, string>,
  purpose: LockedPackage['purpose'],
): LockedPackage | undefined {
  const [name, version, architecture] = ['Package', 'Version', 'Architecture'].map((key) => fields.get(key));
  const [sha256, size, filename] = ['SHA256', 'Size', 'Filename'].map((key) => fields.get(key));
  if (!name || !version || !architecture || !sha256 || !size || !filename) return undefined;
  return {
    name,
    version,
    architecture,
    sha256,
    size: Number(size),
    filename: filename.replace(/^\.\//, ''),
    purpose,
  };
}

/** Without the architecture that apt adds to a package of a second one. */
const bare = (name: string) => name.replace(/:.*/, '');
