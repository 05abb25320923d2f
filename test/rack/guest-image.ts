import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { execa } from 'execa';
import { type Generation, generationSchema, type StoredGeneration } from '../../src/model/generation.ts';

/** What it prints, with its command line behind it, before it switches itself off. */
export const STARTED = 'THE NODE STARTED: ';

/** Runs in the initramfs's own shell. */
const INIT = `#!/bin/sh
/bin/busybox --install -s /bin
mkdir -p /proc
mount -t proc proc /proc
read -r line </proc/cmdline
sleep 1
echo "${STARTED}$line"
poweroff -f
`;

/** On a busy machine QEMU's clock misses the ticks by which Linux checks a PC's timer, and it panics. */
const EMULATED = { amd64: ['no_timer_check'], arm64: [], armhf: [] } as const;

/**
 * Seals a generation with the kernel, initramfs and loaders of another one, that starts, prints its
 * command line and switches itself off: a program laid over the initramfs takes the place of what would mount the root.
 * @param plainKernel with an unpacked kernel beside the compressed one, as `boot.loaders: [u-boot]` adds it.
 * @returns its id, to be published.
 */
export async function sealGuestGeneration(
  generationsFolder: string,
  source: StoredGeneration,
  { plainKernel = false } = {},
): Promise<string> {
  const work = join(generationsFolder, `.sealing-guest-${process.pid}`);
  const { kernel, initramfs = '' } = source.boot;
  const loaders = Object.keys(source.boot.files).filter((name) => /\.(efi|kpxe)$/.test(name));
  const boot = new Map<string, Buffer>();
  for (const name of [kernel, initramfs, ...loaders]) {
    boot.set(name, await readFile(join(source.folder, 'boot', name)));
  }
  boot.set(initramfs, Buffer.concat([padded(boot.get(initramfs) as Buffer), archive('init', INIT)]));
  if (plainKernel) boot.set('vmlinuz', gunzipSync(boot.get(kernel) as Buffer));
  for (const [name, bytes] of boot) {
    await mkdir(dirname(join(work, 'boot', name)), { recursive: true });
    await writeFile(join(work, 'boot', name), bytes);
  }
  await mkdir(join(work, 'root/etc'), { recursive: true });
  await writeFile(join(work, 'root/etc/hostname'), `${source.image}\n`);
  await execa('mksquashfs', [join(work, 'root'), join(work, 'root.squashfs'), '-quiet', '-no-progress']);
  await rm(join(work, 'root'), { recursive: true });

  const root = fileOf(await readFile(join(work, 'root.squashfs')));
  const files = Object.fromEntries([...boot].map(([name, bytes]) => [name, fileOf(bytes)]));
  const content = createHash('sha256').update(JSON.stringify({ root, files })).digest('hex');
  const { folder: _, ...manifest } = source;
  const sealed: Generation = generationSchema.parse({
    ...manifest,
    id: `${source.image}-${content.slice(0, 12)}`,
    sealedAt: new Date().toISOString(),
    root,
    boot: { ...source.boot, cmdline: [...source.boot.cmdline, ...EMULATED[source.arch]], files },
  });
  await writeFile(join(work, 'manifest.json'), JSON.stringify(sealed));
  await rename(work, join(generationsFolder, sealed.id));
  return sealed.id;
}

const fileOf = (bytes: Buffer) => ({
  size: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
});

/** To a multiple of 4 bytes: where the kernel looks for the next archive. */
function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}

/** A cpio archive of one executable file (Linux, "buffer-format.rst", newc). */
function archive(name: string, text: string): Buffer {
  const entry = (path: string, mode: number, data: Buffer): Buffer => {
    const numbers = [1, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, path.length + 1, 0];
    const header = `070701${numbers.map((number) => number.toString(16).padStart(8, '0')).join('')}${path}\0`;
    return Buffer.concat([padded(Buffer.from(header, 'latin1')), padded(data)]);
  };
  return Buffer.concat([entry(name, 0o100755, Buffer.from(text)), entry('TRAILER!!!', 0, Buffer.alloc(0))]);
}
