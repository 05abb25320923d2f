import { chmod, mkdir, stat } from 'node:fs/promises';
import { type Bounds, outOfBounds } from './confine.ts';
import { wwwPath } from './desired.ts';
import { type Export, exportSchema } from './export.ts';

/**
 * Makes ready what an export needs on this machine: its folder, and for the web content those of S1-5. What is there
 * stays as it is. Gives the reason when the export cannot be served.
 */
export async function prepareExport(entry: Export, bounds: Bounds): Promise<string | undefined> {
  const parsed = exportSchema.safeParse(entry);
  if (!parsed.success) {
    return parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ');
  }
  const reason = outOfBounds(entry, bounds);
  if (reason) return reason;
  try {
    if (entry.squashfs && !(await stat(entry.squashfs)).isFile()) return `${entry.squashfs} is not a file`;
    await makeFolder(entry.path);
    if (entry.path === wwwPath(bounds.exportsFolder)) {
      for (const child of ['html', 'cgi-bin']) await makeFolder(`${entry.path}/${child}`);
    }
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
      ? `its root ${entry.squashfs} is missing`
      : (error as Error).message;
  }
}

/** `mkdir -p`, 0755 whatever the umask: the nodes' web servers read there as nobody. */
async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o755 });
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = made.slice(0, made.lastIndexOf('/'))) {
    await chmod(made, 0o755);
  }
}
