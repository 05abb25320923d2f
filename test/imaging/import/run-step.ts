import { chmod, copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { run } from '../../../src/host/run.ts';
import type { StepInput } from '../../../src/imaging/plan/step.ts';
import { isolated, STEPS_FOLDER } from '../../../src/imaging/run/isolation.ts';

/** Runs a step's script on a folder as its root, as a build does but without layers. Gives the lines it printed. */
export async function runStep(
  script: string,
  root: string,
  environment: Readonly<Record<string, string>>,
  inputs: readonly StepInput[] = [],
): Promise<string[]> {
  const work = await mkdtemp(`${root}.step-`);
  const input = join(work, 'input');
  await mkdir(input);
  for (const { path, content, mode = 0o644 } of inputs) {
    const place = join(input, path);
    await mkdir(dirname(place), { recursive: true });
    if (content.kind === 'file') await copyFile(content.file, place);
    else if (content.kind === 'text') await writeFile(place, content.text);
    else await symlink(content.target, place);
    if (content.kind !== 'link') await chmod(place, mode);
  }
  await mkdir(join(work, 'work'));
  const lines: string[] = [];
  const [program, args] = isolated(script);
  try {
    await run(program, args, {
      env: { WORK: join(work, 'work'), ROOT: root, INPUT: input, LIB: STEPS_FOLDER, ...environment },
      onLine: (line) => lines.push(line),
    });
  } catch (error) {
    throw new Error(lines.join('\n'), { cause: error });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return lines;
}
