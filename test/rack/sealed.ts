import { createCipheriv, createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { type Generation, generationSchema } from '../../src/model/generation.ts';

/** Every file that the firmware of a Pi 3, 4 or 5 needs to start a kernel, and nothing it must not find. */
export const FIRMWARE_FILES = [
  'bootcode.bin',
  'start.elf',
  'fixup.dat',
  'start4.elf',
  'fixup4.dat',
  'bcm2710-rpi-3-b.dtb',
  'bcm2710-rpi-3-b-plus.dtb',
  'bcm2711-rpi-4-b.dtb',
  'bcm2712-rpi-5-b.dtb',
  'overlays/overlay_map.dtb',
  'initramfs8',
] as const;

/** The start of an arm64 kernel (Linux, arch/arm64 "booting.rst"); big enough for some hundred TFTP blocks. */
function kernel(note: string): Buffer {
  const image = Buffer.alloc(512 * 1024, 'kernel');
  image.write('ARM\x64', 0x38, 'latin1');
  image.write(note, 0x100, 'latin1');
  return image;
}

/** Bytes that repeat nowhere and are the same every time: a block in a wrong place does not go unseen. */
export function noise(name: string, size: number): Buffer {
  const key = createHash('md5').update(name).digest();
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size));
}

const fileOf = (bytes: Buffer) => ({
  size: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
});

/**
 * Seals a small generation of its own: a real squashfs with one file in it and a boot tree every firmware can read,
 * but no system that would boot. It stands in where the way to the kernel matters and not what comes after it.
 * @param sizes of boot files that are to be larger, in bytes; they are noise.
 * @param mark a word that is in every file of the boot tree (` of <mark>` and a line's end), so that one can tell whose it is.
 * @param provides what it can do, as its manifest says: `reports`.
 * @returns its id, to be published.
 */
export async function sealGeneration(
  generationsFolder: string,
  image = 'web',
  sizes: Readonly<Record<string, number>> = {},
  mark?: string,
  provides: readonly string[] = [],
): Promise<string> {
  const note = mark === undefined ? '\n' : ` of ${mark}\n`;
  const work = join(generationsFolder, `.sealing-${process.pid}`);
  const boot = new Map<string, Buffer>([
    ...FIRMWARE_FILES.map((name) => [name, Buffer.from(`the bytes of ${name}${note}`.repeat(100))] as const),
    ['kernel8.img', kernel(mark === undefined ? '' : note)],
    ...Object.entries(sizes).map(([name, size]) => [name, noise(name, size)] as const),
  ]);
  for (const [name, bytes] of boot) {
    const file = join(work, 'boot', name);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, bytes);
  }
  await mkdir(join(work, 'root/etc'), { recursive: true });
  await writeFile(join(work, 'root/etc/hostname'), `${image}\n`);
  await execa('mksquashfs', [join(work, 'root'), join(work, 'root.squashfs'), '-quiet', '-no-progress']);
  await rm(join(work, 'root'), { recursive: true });

  const root = fileOf(await readFile(join(work, 'root.squashfs')));
  const files = Object.fromEntries([...boot].map(([name, bytes]) => [name, fileOf(bytes)]));
  const content = createHash('sha256').update(JSON.stringify({ root, files })).digest('hex');
  const manifest: Generation = {
    id: `${image}-${content.slice(0, 12)}`,
    image,
    arch: 'arm64',
    sealedAt: new Date().toISOString(),
    recipeKey: content,
    root,
    boot: {
      kernel: 'kernel8.img',
      initramfs: 'initramfs8',
      config: ['arm_64bit=1', ...(mark === undefined ? [] : [`# config${note.trimEnd()}`])],
      cmdline: [],
      files,
    },
    roles: { web: { target: 'web-cluster-node.target' } },
    packages: {},
    ...(provides.length > 0 ? { provides: [...provides] } : {}),
  };
  const sealed = generationSchema.parse(manifest);
  await writeFile(join(work, 'manifest.json'), JSON.stringify(sealed));
  await execa('mv', ['--no-target-directory', work, join(generationsFolder, sealed.id)]);
  return sealed.id;
}
