import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { CommandError, Refusal, type Run } from '../model/command.ts';
import { readIfThere } from './durable-file.ts';
import { loopNumber } from './fingerprint.ts';

const SCRIPT = fileURLToPath(new URL('mount-sealed.pl', import.meta.url));
/** The number of mount(2), by Node's names of architectures. */
const MOUNT_CALL: { readonly [arch: string]: number | undefined } = { x64: 165, arm64: 40 };
const ATTEMPTS = 8;

/**
 * Mounts a squashfs at `path`, read-only, from the loop device that belongs to the path (why: {@link loopNumber}); what
 * is setuid or a device in it is so for the Pis, not for this machine. The kernel lets the device go with its last
 * mount. When another mount namespace has the same generation on it, it is shared.
 */
export async function mountSealed(run: Run, squashfs: string, path: string): Promise<void> {
  const call = MOUNT_CALL[process.arch];
  if (call === undefined) throw new Error(`no number of mount(2) is known for ${process.arch}`);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const number = loopNumber(path, attempt);
    const backing = (await readIfThere(`/sys/block/loop${number}/loop/backing_file`))?.trim();
    if (backing !== undefined && generationFile(backing) !== generationFile(squashfs)) continue;
    await run('perl', [SCRIPT, `${call}`, `${number}`, squashfs, path]);
    return;
  }
  throw new Refusal(
    `No loop device is free for ${path}`,
    `Detach the devices from /dev/loop${loopNumber(path)} on: losetup --detach`,
  );
}

/** `<generation>/root.squashfs`: generations are named by their content, so equal names are equal bytes. */
const generationFile = (path: string): string => path.split('/').slice(-2).join('/');

/** Unmounts; a server that is still closing what it had open there gets a second, then it is detached lazily. */
export async function unmount(run: Run, path: string): Promise<void> {
  for (let attempt = 0; attempt < 5; attempt++) {
    try {
      await run('umount', [path]);
      return;
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      await sleep(200);
    }
  }
  await run('umount', ['--lazy', path]);
}
