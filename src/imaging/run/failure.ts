import { Refusal } from '../../model/command.ts';

const KNOWN: readonly { readonly seen: RegExp; readonly problem: string; readonly remedy: string }[] = [
  {
    seen: /No space left on device/,
    problem: 'the disk is full',
    remedy: 'Make room (a build needs 3 GiB) and build again',
  },
  {
    seen: /E: Unable to locate package (\S+)|E: Package '?([^\s']+)'? has no installation candidate/,
    problem: 'Debian has no package "$1"',
    remedy: 'Correct "packages" in the recipe',
  },
  {
    seen: /(?:Could not resolve|Could not connect to|Temporary failure resolving) '?([\w.-]+)/,
    problem: 'the Debian mirror $1 cannot be reached',
    remedy: 'Mend the network, or name another "mirror" in the recipe',
  },
  {
    seen: /(NO_PUBKEY \w+|is not signed)/,
    problem: 'the Debian archive is signed with a key this host does not know ($1)',
    remedy: 'Update it: apt-get install debian-archive-keyring',
  },
];

/** A failed step as one clear line: what is known to go wrong by its cause, anything else by the last it said. */
export function describeFailure(details: {
  image: string;
  step: string;
  command: string;
  tail: readonly string[];
  logFile: string;
  cause: unknown;
}): Refusal {
  const { image, step, command, tail, logFile, cause } = details;
  const where = `Building ${image} failed at "${step}"`;
  for (const { seen, problem, remedy } of KNOWN) {
    const match = tail.map((line) => seen.exec(line)).find((found) => found !== null);
    if (!match) continue;
    const thing = match.slice(1).find((group) => group !== undefined) ?? '';
    return new Refusal(`${where}: ${problem.replace('$1', thing)}`, `${remedy}. The log is ${logFile}`, {
      cause,
    });
  }
  const last = tail.slice(-5).join(' | ').replace(/\.$/, '') || 'it said nothing';
  return new Refusal(`${where} (${command}): ${last}`, `The log is ${logFile}`, { cause });
}
