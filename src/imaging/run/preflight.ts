import { access, mkdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { arch } from 'node:process';
import { CommandError, Refusal, type Run } from '../../model/command.ts';
import type { Arch, Step } from '../plan/step.ts';
import { isolated, STEPS_FOLDER } from './isolation.ts';
import { emulatorOf } from './run-step.ts';

const GIB = 2 ** 30;
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Whether this machine can build at all, asked before anything is made. @throws Refusal */
export async function checkFolders(steps: readonly Step[], ...folders: readonly string[]): Promise<void> {
  if (process.geteuid?.() !== 0) throw new Refusal('Only root can build an image', 'Run it with sudo');
  // Enough for a Debian with some packages, or a disk image unpacked; a tarball may be as small as it likes.
  const needed = steps.some(({ source }) => source?.kind === 'tarball') ? GIB / 4 : 3 * GIB;
  for (const folder of folders) {
    try {
      await mkdir(folder, { recursive: true });
    } catch (error) {
      throw new Refusal(
        `${folder} cannot be made (${(error as Error).message})`,
        'Name a folder on a disk that can be written',
      );
    }
    const { bavail, bsize } = await statfs(folder);
    if (bavail * bsize < needed) {
      throw new Refusal(
        `The disk of ${folder} has ${((bavail * bsize) / GIB).toFixed(1)} GiB free, a build needs ${needed / GIB}`,
        'Make room there, or name another folder',
      );
    }
  }
}

/** What the scripts run beside coreutils, tar and what every Debian has. */
const PROGRAMS: Readonly<Record<string, readonly string[]>> = {
  bootstrap: ['dpkg', 'apt-get'],
  packages: ['dpkg', 'apt-get'],
  import: ['sfdisk', 'mcopy'],
  adapt: ['systemctl'],
  units: ['systemctl'],
  initramfs: ['modprobe', 'depmod', 'modinfo', 'cpio', 'zstd', 'xz'],
  squash: ['mksquashfs'],
};

/** Programs, keyring and emulation. @throws Refusal */
export async function checkPrograms(
  run: Run,
  workFolder: string,
  target: Arch,
  steps: readonly Step[],
): Promise<void> {
  if (target === 'amd64' && arch !== 'x64')
    throw new Refusal(
      'An amd64 image is built on an amd64 machine',
      `This one is ${arch}: there is no emulation of it`,
    );
  const needed = new Set(['unshare', 'setpriv', ...steps.flatMap(({ script }) => PROGRAMS[script] ?? [])]);
  for (const program of needed) await run(program, [program === 'mksquashfs' ? '-version' : '--version']);
  if (steps.some(({ packages }) => packages?.onto === 'debian')) {
    await access(KEYRING).catch(() => {
      throw new Refusal(`${KEYRING} is missing`, 'Install it: apt-get install debian-archive-keyring');
    });
  }
  await probe(run, workFolder, emulatorOf(target));
}

/** That namespaces, overlays on the cache's file system, and where it is needed emulation, can be had. */
async function probe(run: Run, workFolder: string, emulator: string): Promise<void> {
  if (emulator !== '') await run(`qemu-${emulator}-static`, ['--version']);
  const folder = join(workFolder, 'probe');
  for (const name of ['lower', 'upper', 'overlay', 'root', 'scratch'])
    await mkdir(join(folder, name), { recursive: true });
  const env = {
    WORK: join(folder, 'scratch'),
    ROOT: join(folder, 'root'),
    LOWER: '../lower',
    UPPER: '../upper',
    OVERLAY_WORK: '../overlay',
    LIB: STEPS_FOLDER,
    EMULATE: emulator,
  };
  const [program, args] = isolated('probe');
  try {
    await run(program, args, { env });
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    const said = error.stderrTail.split('\n').find((line) => line !== '') ?? error.message;
    if (said.includes(env.ROOT)) {
      throw new Refusal(
        `The cache lies on a file system that overlayfs cannot write to (${said})`,
        'Let "paths.cache" be on ext4, xfs or btrfs; in a container on a volume',
        { cause: error },
      );
    }
    if (emulator === '') {
      throw new Refusal(
        `Namespaces cannot be made here (${said})`,
        'Build where root may mount (a container must be privileged)',
        { cause: error },
      );
    }
    throw new Refusal(
      `Programs of another architecture cannot be run here (${said})`,
      'Install qemu-user-static, and build where root may mount (a container must be privileged)',
      { cause: error },
    );
  }
}
