import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Small facts by key, one JSON file each: `locks/` has what a request for packages was resolved to, `pointers/` which
 * artifact belongs to a root.
 */
export async function readNote(cache: string, kind: 'locks' | 'pointers', key: string): Promise<unknown> {
  const text = await readFile(join(cache, kind, `${key}.json`), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : JSON.parse(text);
}

/** Written through, then renamed; `scratch` is a folder of the caller's own on the same file system. */
export async function writeNote(
  cache: string,
  kind: 'locks' | 'pointers',
  key: string,
  value: unknown,
  scratch: string,
): Promise<void> {
  const half = join(scratch, `${kind}.${key}`);
  {
    await using file = await open(half, 'w');
    await file.writeFile(`${JSON.stringify(value, undefined, 2)}\n`);
    await file.sync();
  }
  await mkdir(join(cache, kind), { recursive: true });
  await rename(half, join(cache, kind, `${key}.json`));
}
