import { spawn } from 'node:child_process';
import type { FileHandle } from 'node:fs/promises';
import { CommandError, Refusal } from '../model/command.ts';
import type { Disk } from './export.ts';

/** `nobody` and `nogroup` of Debian: who owns the disks on the appliance, and who looks into them. */
const NOBODY = 65534;
const NO_RIGHTS = ['--reuid', `${NOBODY}`, '--regid', `${NOBODY}`, '--clear-groups', '--no-new-privs'];
/**
 * Of each program. All exports wait for it, and a node may have made its disk a riddle: to check it, to let it grow, and to
 * mend it when that failed takes three times as long at most, and begins but in the two seconds of a boot that growing is
 * for. To mend what an earlier run left begins at any time, and ends when its caller says.
 */
const LONGEST_MS = 60_000;

/** Statuses of e2fsck: no mistake, or none that it did not correct. */
const CORRECTED = [0, 1];

/**
 * Makes an empty file an ext4 file system that takes a megabyte of room however large it is, and is written to by no
 * node's kernel that merely mounts it (a sparse file is zero all over, so that no inode table has to be zeroed). Features
 * that kernels before Linux 5.15 lack are left out.
 */
export async function makeFileSystem(file: FileHandle, { name, bytes }: Disk): Promise<void> {
  await file.chown(NOBODY, NOBODY);
  await file.truncate(bytes);
  const label = `netboot-${name.slice(0, name.indexOf('.'))}`;
  const looks = ['-t', 'ext4', '-L', label, '-m', '0', '-O', '^orphan_file,^metadata_csum_seed'];
  const sparse = ['-E', 'assume_storage_prezeroed=1,root_owner=0:0'];
  await onFile(file, 'mke2fs', ['-q', '-F', ...looks, ...sparse]);
}

/** Corrects what can be corrected without a doubt. Nobody may have it mounted. @throws CommandError when it is not sound then. */
export async function checkFileSystem(file: FileHandle): Promise<void> {
  await file.chown(NOBODY, NOBODY);
  await onFile(file, 'e2fsck', ['-f', '-p'], CORRECTED);
}

/**
 * Makes the file larger and its file system, which was checked, as large as that. When it fails, or is killed together
 * with us, it has to be mended.
 */
export async function growFileSystem(file: FileHandle, bytes: number): Promise<void> {
  await file.truncate(bytes);
  await onFile(file, 'resize2fs', ['-f']);
}

/**
 * For a file system whose growing was cut short: half of what describes its groups of blocks may be of the new size, which
 * `e2fsck -p`, and a boot with it, leaves to a person. As it was sound before, there is but one answer to all of its questions.
 * @throws when it is not sound then: where there is no room, or `until` has come (a time of day in milliseconds).
 */
export async function mendFileSystem(file: FileHandle, until = Number.POSITIVE_INFINITY): Promise<void> {
  const left = until - Date.now();
  if (left <= 0) throw new Error('there was no time left for it');
  await file.chown(NOBODY, NOBODY);
  await onFile(file, 'e2fsck', ['-f', '-y'], CORRECTED, Math.min(LONGEST_MS, left));
}

/**
 * Runs a program of e2fsprogs on an open file. What is in it a node wrote, as it liked: the program is nobody, and has
 * this one file and no path to another. It ends with us.
 */
function onFile(
  file: FileHandle,
  program: string,
  args: readonly string[],
  fine: readonly number[] = [0],
  longestMs = LONGEST_MS,
): Promise<void> {
  const argv = ['--pdeathsig', 'KILL', ...NO_RIGHTS, '--', program, ...args, '/proc/self/fd/3'];
  return new Promise((resolve, reject) => {
    const child = spawn('setpriv', argv, {
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8' },
      stdio: ['ignore', 'pipe', 'pipe', file.fd],
      timeout: longestMs,
      killSignal: 'SIGKILL',
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk) => {
        said = (said + chunk).slice(-2000);
      });
    }
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code !== null && fine.includes(code)) resolve();
      else reject(failure(program, args, code ?? undefined, child.killed ? 'cut off' : signal, said.trim()));
    });
  });
}

function failure(
  program: string,
  args: readonly string[],
  exitCode: number | undefined,
  ended: string | null,
  stderrTail: string,
): Error {
  if (exitCode === 127)
    return new Refusal(`The program "${program}" is not installed`, 'Install it: apt-get install e2fsprogs');
  const lines = stderrTail.split('\n').filter((line) => line.trim() !== '');
  return new CommandError(
    `${program} failed (${ended ?? `exit ${exitCode}`}): ${lines.slice(-3).join(' / ')}`,
    {
      argv: [program, ...args],
      exitCode,
      stderrTail,
    },
  );
}
