import { join } from 'node:path';

/** The shell scripts of the plan's steps. */
export const STEPS_FOLDER = join(import.meta.dirname, 'steps');

/**
 * The argv that runs a step script in a mount and pid namespace of its own. When the builder dies, however it dies, the
 * kernel kills `unshare` (PR_SET_PDEATHSIG), with it the namespace's init and so everything in it; the mounts go with
 * the namespace. Nothing is left to clean up but files.
 */
export function isolated(script: string): [program: string, args: string[]] {
  const shell = ['sh', '-eu', join(STEPS_FOLDER, 'enter.sh'), script];
  const unshare = [
    'unshare',
    '--mount',
    '--propagation',
    'private',
    '--pid',
    '--fork',
    '--kill-child',
    '--mount-proc',
  ];
  return ['setpriv', ['--pdeathsig', 'KILL', ...unshare, ...shell]];
}
