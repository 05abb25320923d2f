import { setTimeout as sleep } from 'node:timers/promises';
import { CommandError, Refusal, type Run } from '../model/command.ts';
import { readIfThere } from './durable-file.ts';
import { loopNumber } from './fingerprint.ts';

/** The bind options of a sealed root; what is setuid or a device in it is so for the Pis, not for this machine. */
const OPTIONS = 'ro,nosuid,nodev';
const ATTEMPTS = 8;

/**
 * Mounts a squashfs at `path` from the loop device that belongs to the path (why: {@link loopNumber}). The device is
 * let go by the kernel with its last mount. When another mount namespace has the same generation on it, it is shared.
 */
export async function mountSealed(run: Run, squashfs: string, path: string): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const name = `loop${loopNumber(path, attempt)}`;
    const device = `/dev/${name}`;
    const backing = (await readIfThere(`/sys/block/${name}/loop/backing_file`))?.trim();
    if (backing !== undefined && generationFile(backing) !== generationFile(squashfs)) continue;
    // Not by mount's own loop=, which refuses a file that another appliance of this machine has on its device.
    if (backing === undefined) await run('losetup', ['--read-only', device, squashfs]);
    await run('mount', ['-t', 'squashfs', '-o', OPTIONS, device, path]);
    // In use, it is only marked to be let go with its last mount: one that a kill left attached is, too.
    await run('losetup', ['--detach', device]);
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
