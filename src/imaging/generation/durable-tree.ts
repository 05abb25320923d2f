import { constants } from 'node:fs';
import { chmod, copyFile, mkdir, open, readdir, rename } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';

/** Regular files at any depth, by path. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
}

/** Moves a file; between file systems it is copied. */
export async function moveFile(from: string, to: string): Promise<void> {
  await rename(from, to).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EXDEV') throw error;
    await copyFile(from, to, constants.COPYFILE_FICLONE);
  });
}

/** Copies the regular files of a folder into another one, sharing their blocks where the file system can. @throws EEXIST */
export async function copyTree(from: string, to: string): Promise<void> {
  for (const file of await filesBelow(from)) {
    const target = join(to, relative(from, file));
    await mkdir(dirname(target), { recursive: true });
    await copyFile(file, target, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
  }
}

/** Gives every file and folder its mode, and flushes them to the disk. */
export async function settle(folder: string, modes: { file: number; folder: number }): Promise<void> {
  for (const path of await filesBelow(folder)) {
    await chmod(path, modes.file);
    await flush(path);
  }
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const folders = entries.filter((entry) => entry.isDirectory());
  for (const path of [...folders.map((entry) => join(entry.parentPath, entry.name)), folder]) {
    await chmod(path, modes.folder);
    await flush(path);
  }
}

export async function flush(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
