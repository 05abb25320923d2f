import { Refusal } from '../../model/command.ts';

const KNOWN: readonly {
  readonly seen: RegExp;
  readonly problem: (match: RegExpExecArray) => string;
  readonly remedy: string;
}[] = [
  {
    seen: /No space left on device|enough free space/,
    problem: () => 'the disk is full',
    remedy: 'Make room, or let paths.cache name another disk',
  },
  {
    seen: /E: Unable to locate package (\S+)|E: Package '?([^\s']+)'? has no installation candidate|E: (?:Version|Release) '[^']*' for '(\S+)' was not found|N: Unable to locate package (\S+)/,
    problem: (match) => `there is no package "${match.slice(1).find((name) => name !== undefined)}"`,
    remedy:
      'Correct its name under "packages" in the recipe, or add its section of the archive to "base.components"',
  },
  {
    seen: /The repository '(\S+) (\S+) Release' does not have a Release file/,
    problem: ([, uri, suite]) => `${uri} has no suite "${suite}"`,
    remedy: 'Correct "base.debian" or "mirror" in the recipe',
  },
  {
    seen: /(?:Could not resolve|Could not connect to|Temporary failure resolving|Connection failed|Unable to connect to|Connection timed out|Could not handshake) ?'?([\w.-]*)/,
    problem: ([, host]) => `the mirror ${host} cannot be reached`,
    remedy: 'Mend the network, or name another "mirror" in the recipe',
  },
  {
    seen: /The repository '(\S+) (\S+) (?:In)?Release' is not signed/,
    problem: ([, uri, suite]) => `the archive ${uri} (${suite}) is not signed by a key this host knows`,
    remedy: 'Use an archive of Debian; if it is one, update its keys: apt-get install debian-archive-keyring',
  },
  {
    seen: /Release file for (\S+) is (?:expired|not valid yet)/,
    problem: ([, uri]) => `${uri} is out of date, or the clock of this machine is`,
    remedy: 'Set the clock, or name another "mirror" in the recipe',
  },
  {
    seen: /Hash Sum mismatch|File has unexpected size/,
    problem: () => 'the mirror is being changed, or changes what it sends',
    remedy: 'Try again in some minutes, or name another "mirror" in the recipe',
  },
];

/** Why apt could not do it, as one line with the remedy. `doing`, like "settling the packages of trixie". */
export function describeAptFailure(doing: string, lines: readonly string[], cause: unknown): Refusal {
  const unmet = lines.findIndex((line) => line.includes('unmet dependencies'));
  if (unmet >= 0) {
    const what = lines.slice(unmet + 1).filter((line) => /^ /.test(line));
    const said = what.slice(0, 4).map((line) => line.trim().replace(/\s+/g, ' '));
    return new Refusal(
      `${doing}: they do not go together: ${said.join('; ')}`,
      'Correct "packages" in the recipe',
      { cause },
    );
  }
  for (const { seen, problem, remedy } of KNOWN) {
    const match = lines.map((line) => seen.exec(line)).find((found) => found !== null);
    if (match) return new Refusal(`${doing}: ${problem(match)}`, remedy, { cause });
  }
  const errors = lines.filter((line) => line.startsWith('E: '));
  const said =
    (errors.length > 0 ? errors : lines).slice(-4).join(' | ').replace(/\.$/, '') || 'apt said nothing';
  return new Refusal(`${doing}: ${said}`, 'Mend what apt complains of', { cause });
}
