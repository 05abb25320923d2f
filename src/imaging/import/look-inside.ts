import { CommandError, Refusal, type Run } from '../../model/command.ts';
import type { Arch } from '../plan/step.ts';
import type { OpenedImage } from './source.ts';

/** What an image says of itself, read without mounting anything. */
export interface SystemFacts {
  readonly arch: Extract<Arch, 'arm64' | 'armhf'>;
  /** `Debian GNU/Linux 13 (trixie)` */
  readonly release: string;
  /** Names of the installed packages. */
  readonly packages: ReadonlySet<string>;
  readonly configTxt: string;
  readonly cmdlineTxt: string;
  /** Whether it has a 64-bit kernel for Pis, which then is the one that is kept. */
  readonly has64BitKernel: boolean;
}

/** @param name of the image's file, for the messages. @throws Refusal when it is no system for a Pi. */
export async function lookInside(run: Run, image: OpenedImage, name: string): Promise<SystemFacts> {
  const { boot, root } = image.partitions;
  const inRoot = (request: string) => debugfs(run, `${image.path}?offset=${root.offset}`, request, name);
  const packages = readStatus(await inRoot('cat /var/lib/dpkg/status'));
  const arch = packages.get('dpkg');
  if (arch === undefined) {
    throw new Refusal(
      `${name} holds no Debian system: partition ${root.number} has no /var/lib/dpkg/status that names dpkg`,
      'Import Raspberry Pi OS, or another Debian for the Pi',
    );
  }
  if (arch !== 'arm64' && arch !== 'armhf') {
    throw new Refusal(
      `The system in ${name} is for ${arch}`,
      'Take its arm64 or armhf edition: a Pi runs no other',
    );
  }
  const kernels = await inRoot('ls -p /usr/lib/modules');
  const onBoot = (file: string) => fatText(run, `${image.path}@@${boot.offset}`, file);
  return {
    arch,
    release:
      /^PRETTY_NAME="?(.*?)"?$/m.exec(await inRoot('cat /usr/lib/os-release'))?.[1] ?? 'unknown system',
    packages: new Set(packages.keys()),
    configTxt: await onBoot('config.txt'),
    cmdlineTxt: await onBoot('cmdline.txt'),
    // As adapt.sh chooses. Debian's own kernel of an arm64 system has no such ending.
    has64BitKernel: arch === 'arm64' || /\/[^/]*-v8\+?\//.test(kernels),
  };
}

/** Package → architecture, of what is installed (deb822; dpkg's own file). */
function readStatus(status: string): ReadonlyMap<string, string> {
  const installed = new Map<string, string>();
  for (const stanza of status.split(/\n\n+/)) {
    if (!/^Status: \S+ \S+ installed$/m.test(stanza)) continue;
    const [, name] = /^Package: (\S+)$/m.exec(stanza) ?? [];
    const [, arch] = /^Architecture: (\S+)$/m.exec(stanza) ?? [];
    if (name !== undefined) installed.set(name, arch ?? '');
  }
  return installed;
}

/** A file that is not there is empty: debugfs says so and ends well. */
async function debugfs(run: Run, device: string, request: string, name: string): Promise<string> {
  try {
    return await run('debugfs', ['-R', request, device]);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    throw new Refusal(
      `The root file system of ${name} cannot be read (${error.stderrTail.split('\n').at(-1)})`,
      'It is damaged: download or copy the image again',
      { cause: error },
    );
  }
}

async function fatText(run: Run, image: string, file: string): Promise<string> {
  const env = { MTOOLS_SKIP_CHECK: '1', MTOOLSRC: '/dev/null' };
  try {
    return await run('mtype', ['-i', image, `::/${file}`], { env });
  } catch (error) {
    if (error instanceof CommandError && /not found/i.test(error.stderrTail)) return '';
    throw error;
  }
}
