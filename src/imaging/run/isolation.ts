import { join } from 'node:path';

/** The shell scripts of the plan's steps. */
export const STEPS_FOLDER = join(import.meta.dirname, '../steps');

/** Ends at once when the process that started it is no more: it may have died before PR_SET_PDEATHSIG took hold. */
const IF_NOT_ORPHANED = '[ "$PPID" = "$0" ] || exit 1; exec "$@"';

/** argv of a program that the kernel kills when we die, however we die (PR_SET_PDEATHSIG). */
export function dependent(...argv: readonly string[]): [program: string, args: string[]] {
  return ['setpriv', ['--pdeathsig', 'KILL', 'sh', '-c', IF_NOT_ORPHANED, String(process.pid), ...argv]];
}

/**
 * The argv that runs a step script in namespaces of its own. When the builder dies, the kernel kills `unshare`, with it
 * the namespace's init and so everything in it; the mounts go with the namespace. Nothing is left to clean up but files.
 * @param network whether it sees the host's network; otherwise one with nothing in it.
 */
export function isolated(
  script: string,
  options: {
    readonly network?: boolean;
    readonly stepsFolder?: string;
    readonly args?: readonly string[];
  } = {},
): [program: string, args: string[]] {
  const { network = false, stepsFolder = STEPS_FOLDER, args = [] } = options;
  return dependent(
    'unshare',
    '--mount',
    '--propagation',
    'private',
    '--ipc',
    '--uts',
    ...(network ? [] : ['--net']),
    '--pid',
    '--fork',
    '--kill-child',
    '--mount-proc',
    'sh',
    '-eu',
    join(stepsFolder, 'enter.sh'),
    script,
    ...args,
  );
}
