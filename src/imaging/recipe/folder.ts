import { isUtf8 } from 'node:buffer';
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Mistake } from '../../model/yaml-file.ts';
import type { StepInput } from '../plan/step.ts';

/** What `rootfs/` or `templates/` holds, before anything is rendered. */
export interface Tree {
  /** By path below the tree, sorted; of a file's mode only the executable bit counts, as in git. */
  readonly inputs: readonly StepInput[];
  /** All folders, those with nothing in them too. */
  readonly folders: readonly string[];
  readonly mistakes: readonly Mistake[];
}

/** @returns an empty tree where there is no such folder. */
export async function readTree(folder: string): Promise<Tree> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(
    (error: NodeJS.ErrnoException) => error,
  );
  if (entries instanceof Error) {
    const mistakes = entries.code === 'ENOENT' ? [] : [unreadable(folder, entries)];
    return { inputs: [], folders: [], mistakes };
  }
  const inputs: StepInput[] = [];
  const folders: string[] = [];
  const mistakes: Mistake[] = [];
  for (const entry of entries) {
    const file = join(entry.parentPath, entry.name);
    const path = relative(folder, file);
    // Names come decoded: what is no UTF-8 would be another name from here on.
    if (/[\uFFFD\p{Cc}]/u.test(path))
      mistakes.push({ file, problem: 'a file name has no control characters, and is UTF-8; rename it' });
    else if (entry.isDirectory()) folders.push(path);
    else if (entry.isSymbolicLink())
      inputs.push({ path, content: { kind: 'link', target: await readlink(file) } });
    else if (entry.isFile()) {
      const mode = (await stat(file)).mode & 0o111 ? 0o755 : 0o644;
      inputs.push({ path, content: { kind: 'file', file }, mode });
    } else mistakes.push({ file, problem: 'only files, folders and links are copied; remove it' });
  }
  return { inputs: inputs.toSorted((a, b) => (a.path < b.path ? -1 : 1)), folders, mistakes };
}

/** The file as text; or why it is none. */
export async function readText(file: string): Promise<{ readonly text: string } | Mistake> {
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => error);
  if (bytes instanceof Error) return unreadable(file, bytes);
  const isText = isUtf8(bytes) && !bytes.includes(0);
  return isText ? { text: bytes.toString() } : { file, problem: 'is no text in UTF-8' };
}

/** For what is there and cannot be read. */
export function unreadable(file: string, { code, message }: NodeJS.ErrnoException): Mistake {
  if (code === 'ENOTDIR') return { file, problem: 'has to be a folder' };
  if (code === 'EISDIR') return { file, problem: 'has to be a file' };
  return { file, problem: `cannot be read: ${message}; make it readable for you` };
}
