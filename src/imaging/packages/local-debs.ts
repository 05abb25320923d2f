import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { CommandError, Refusal, type Run } from '../../model/command.ts';
import { hashFile } from '../hash-file.ts';
import type { LockedPackage } from '../plan/step.ts';
import { lockedPackage, parseStanzas } from './apt-output.ts';

/** A .deb file beside a recipe, as a locked package. @throws Refusal when it is none. */
export async function readLocalDeb(run: Run, file: string): Promise<LockedPackage> {
  const wrong = (why: string, cause?: unknown) =>
    new Refusal(`${file} ${why}`, 'Correct "packages.local" in the recipe, or put the package there', {
      cause,
    });
  const { size } = await stat(file).catch((error) => {
    throw wrong('cannot be read', error);
  });
  const control = await run('dpkg-deb', ['--field', file]).catch((error) => {
    throw error instanceof CommandError ? wrong('is no Debian package', error) : error;
  });
  const [fields] = parseStanzas(control);
  const found = new Map([...(fields ?? []), ['SHA256', await hashFile(file)], ['Size', String(size)]]);
  const locked = lockedPackage(found.set('Filename', basename(file)), 'install');
  if (!locked) throw wrong('is a Debian package without name, version or architecture');
  return locked;
}
