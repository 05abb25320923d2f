import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { chmod, copyFile, lstat, mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Refusal } from '../../model/command.ts';
import { hashFile } from '../hash-file.ts';
import type { StepInput } from '../plan/step.ts';

/** All of an input that its step can see. */
export interface InputIdentity {
  readonly path: string;
  readonly kind: 'file' | 'link';
  readonly mode: number;
  /** Of the content, or of a link's target. */
  readonly sha256: string;
}

/** What the inputs are now, by path. @throws Refusal when a file is missing. */
export async function identifyInputs(inputs: readonly StepInput[]): Promise<InputIdentity[]> {
  return sorted(await Promise.all(inputs.map((input) => identify(input, fileOf(input)))));
}

/**
 * Copies the inputs below `folder` and tells what the copies are, so that what a step is known by is what it was given,
 * whatever happens to the files meanwhile.
 */
export async function stageInputs(inputs: readonly StepInput[], folder: string): Promise<InputIdentity[]> {
  await mkdir(folder, { recursive: true });
  const staged: InputIdentity[] = [];
  for (const input of inputs) {
    const target = join(folder, input.path);
    await makeFolders(folder, dirname(input.path));
    const { content } = input;
    if (content.kind === 'link') await symlink(content.target, target);
    else if (content.kind === 'text') await writeFile(target, content.text);
    else await copyFile(content.file, target, constants.COPYFILE_FICLONE).catch(missing(content.file));
    if (content.kind !== 'link') await chmod(target, modeOf(input));
    staged.push(await identify(input, content.kind === 'file' ? target : undefined));
  }
  return sorted(staged);
}

/** Open to all, whatever umask we were started with: they become folders of the root. */
async function makeFolders(top: string, path: string): Promise<void> {
  let folder = top;
  for (const part of path.split('/')) {
    folder = join(folder, part);
    if ((await mkdir(folder, { recursive: true })) !== undefined) await chmod(folder, 0o755);
  }
}

async function identify(input: StepInput, file: string | undefined): Promise<InputIdentity> {
  const { path, content } = input;
  if (content.kind === 'link') return { path, kind: 'link', mode: 0o777, sha256: sha256(content.target) };
  const hash =
    content.kind === 'text'
      ? sha256(content.text)
      : await hashFile(file as string).catch(missing(content.file));
  return { path, kind: 'file', mode: modeOf(input), sha256: hash };
}

const fileOf = ({ content }: StepInput) => (content.kind === 'file' ? content.file : undefined);
const modeOf = ({ mode = 0o644 }: StepInput) => mode & 0o7777;
const sorted = (inputs: InputIdentity[]) => inputs.toSorted((a, b) => (a.path < b.path ? -1 : 1));
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

const missing = (file: string) => async (error: NodeJS.ErrnoException) => {
  if (error.code === 'ENOENT') {
    const above = await lstat(dirname(file)).catch(() => undefined);
    const what = above ? 'has gone while it was read' : 'has gone with its folder';
    throw new Refusal(`${file} ${what}`, 'Build again when the recipe is at rest', { cause: error });
  }
  throw error;
};
