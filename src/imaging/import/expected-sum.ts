import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { Refusal } from '../../model/command.ts';

const SUM = /^[0-9a-f]{64}$/i;

/**
 * The SHA-256 that a file is to have: as given, or as `<file>.sha256` beside it says, which is where the Raspberry Pi
 * downloads have it. `undefined` when nobody says.
 * @throws Refusal when what is said is no sum of this file.
 */
export async function expectedSum(file: string, given: string | undefined): Promise<string | undefined> {
  if (given !== undefined) {
    if (SUM.test(given)) return given.toLowerCase();
    throw new Refusal(`"${given}" is no SHA-256`, 'Give the 64 hex digits that "sha256sum FILE" prints');
  }
  const beside = `${file}.sha256`;
  const text = await readFile(beside, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw new Refusal(`${beside} cannot be read: ${error.message}`, 'Make it readable, or give --sha256');
  });
  if (text === undefined) return undefined;
  const lines = text
    .split('\n')
    .map((line) => /^([0-9a-f]{64})(?:\s+\*?(.+?))?\s*$/i.exec(line))
    .filter((match) => match !== null);
  const own = lines.find(([, , name]) => name !== undefined && basename(name) === basename(file));
  const [, sum] = own ?? (lines.length === 1 ? (lines[0] ?? []) : []);
  if (sum === undefined) {
    throw new Refusal(
      `${beside} has no SHA-256 for ${basename(file)}`,
      'Take the one that belongs to it, or give --sha256',
    );
  }
  return sum.toLowerCase();
}
