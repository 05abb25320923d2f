import { access, mkdir, statfs } from 'node:fs/promises';
import { arch } from 'node:process';
import { CommandError, Refusal, type Run } from '../model/command.ts';
import { isolated } from './isolation.ts';

const NEEDED_BYTES = 3 * 2 ** 30;
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Whether this machine can build at all, asked before anything is made. @throws Refusal */
export async function checkFolders(...folders: readonly string[]): Promise<void> {
  if (process.geteuid?.() !== 0) throw new Refusal('Only root can build an image', 'Run it with sudo');
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
    if (bavail * bsize < NEEDED_BYTES) {
      throw new Refusal(
        `The disk of ${folder} has ${((bavail * bsize) / 2 ** 30).toFixed(1)} GiB free, a build needs 3`,
        'Make room there, or name another folder',
      );
    }
  }
}

/** Programs, keyring and emulation. @param target the architecture of the image. @throws Refusal */
export async function checkPrograms(run: Run, workFolder: string, target: string): Promise<void> {
  if (target === 'amd64' && arch !== 'x64')
    throw new Refusal(
      'An amd64 image is built on an amd64 machine',
      `This one is ${arch}: there is no emulation of it`,
    );
  for (const program of ['mmdebstrap', 'unshare', 'setpriv', 'dpkg', 'apt-get'])
    await run(program, ['--version']);
  await run('mksquashfs', ['-version']);
  await access(KEYRING).catch(() => {
    throw new Refusal(`${KEYRING} is missing`, 'Install it: apt-get install debian-archive-keyring');
  });
  if (target === 'arm64' && arch !== 'arm64') await checkEmulation(run, workFolder);
}

async function checkEmulation(run: Run, workFolder: string): Promise<void> {
  await run('qemu-aarch64-static', ['--version']);
  const [program, args] = isolated('probe');
  try {
    await run(program, args, { env: { WORK: workFolder, ROOT: '/nonexistent' } });
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    throw new Refusal(
      `Programs of another architecture cannot be run here (${error.stderrTail.split('\n').at(-1)})`,
      'Install qemu-user-static, and build where root may mount binfmt_misc (a container must be privileged)',
      { cause: error },
    );
  }
}
