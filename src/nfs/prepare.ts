import { chmod, mkdir, stat } from 'node:fs/promises';
import type { Preparation, Prepared } from './applied.ts';
import { type Bounds, outOfBounds } from './confine.ts';
import { wwwPath } from './desired.ts';
import { type Export, exportSchema } from './export.ts';
import { prepareArea } from './private-area.ts';

/** Disks that are made at a time: a disk is a few tens of milliseconds of a processor. */
const AT_A_TIME = 4;
/** To mend disks whose growing was cut short, all of them together: all exports wait for it. */
const MENDING_MS = 60_000;

/** Makes ready all of them. */
export async function prepareExports(entries: readonly Export[], bounds: Bounds): Promise<Preparation> {
  const problems = new Map<string, string>();
  const remarks = new Map<string, string>();
  const incomplete = new Set<string>();
  const left = entries.values();
  const mendUntil = Date.now() + MENDING_MS;
  const work = async () => {
    for (const entry of left) {
      const { problem, remark, isIncomplete } = await prepareExport(entry, bounds, mendUntil);
      if (problem !== undefined) problems.set(entry.path, problem);
      if (remark !== undefined) remarks.set(entry.path, remark);
      if (isIncomplete) incomplete.add(entry.path);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  return { problems, remarks, incomplete };
}

/**
 * Makes ready what an export needs on this machine: its folder, for the web content those of S1-5, for a node its disks.
 * What is there stays as it is.
 */
export async function prepareExport(
  entry: Export,
  bounds: Bounds,
  mendUntil = Date.now() + MENDING_MS,
): Promise<Prepared> {
  const parsed = exportSchema.safeParse(entry);
  if (!parsed.success) {
    return {
      problem: parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; '),
    };
  }
  const problem = outOfBounds(entry, bounds);
  if (problem) return { problem };
  try {
    if (entry.area)
      return withAudience(entry, await prepareArea(entry.path, entry.area, bounds.exportsFolder, mendUntil));
    if (entry.squashfs && !(await stat(entry.squashfs)).isFile())
      return { problem: `${entry.squashfs} is not a file` };
    await makeFolder(entry.path);
    if (entry.path === wwwPath(bounds.exportsFolder)) {
      for (const child of ['html', 'cgi-bin']) await makeFolder(`${entry.path}/${child}`);
    }
    return {};
  } catch (error) {
    return {
      problem:
        entry.squashfs && (error as NodeJS.ErrnoException).code === 'ENOENT'
          ? `its root ${entry.squashfs} is missing`
          : (error as Error).message,
    };
  }
}

function withAudience({ clients }: Export, prepared: Prepared): Prepared {
  if (clients.length > 0 || prepared.problem !== undefined) return prepared;
  const remark = 'not exported yet: nothing has told the address of its node';
  return { ...prepared, remark: prepared.remark === undefined ? remark : `${remark}; ${prepared.remark}` };
}

/** `mkdir -p`, 0755 whatever the umask: the nodes' web servers read there as nobody. */
async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o755 });
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = made.slice(0, made.lastIndexOf('/'))) {
    await chmod(made, 0o755);
  }
}
