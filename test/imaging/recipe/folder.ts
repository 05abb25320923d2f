import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** Path (with a slash at its end a folder) → text, `{link: target}`, or `{script: text}` for what is executable. */
export type Files = Readonly<Record<string, string | { link: string } | { script: string } | Uint8Array>>;

export interface ImagesFolder extends AsyncDisposable {
  readonly path: string;
}

/** A folder of images with these files, gone at the end of the scope. */
export async function imagesFolder(files: Files): Promise<ImagesFolder> {
  const path = await mkdtemp(join(tmpdir(), 'netboot-recipe-'));
  for (const [name, content] of Object.entries(files)) {
    const file = join(path, name);
    if (name.endsWith('/')) {
      await mkdir(file, { recursive: true });
      continue;
    }
    await mkdir(dirname(file), { recursive: true });
    if (typeof content === 'string' || content instanceof Uint8Array) await writeFile(file, content);
    else if ('link' in content) await symlink(content.link, file);
    else await writeFile(file, content.script, { mode: 0o755 });
  }
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

export const DEBIAN = 'base: {debian: trixie, arch: arm64}\n';
