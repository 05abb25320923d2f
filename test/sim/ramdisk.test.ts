import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { run } from '../../src/host/run.ts';
import { FatImage } from '../../src/sim/fat-image.ts';
import { createRack, removeRack } from '../../src/sim/rack.ts';
import { bootScene, FULL, MENU, PI4_FILES, PI5_FILES, S } from './scene.ts';

/** `boot_ramdisk=1`, with an image that dosfstools and mtools made and dnsmasq serves: nothing of it is ours. */

const RACK = `ramtest-${process.pid}`;
let folder: string;

before(async () => {
  await createRack(run, RACK, { address: '192.168.172.17/24' });
  folder = await mkdtemp(join(tmpdir(), 'netboot-ramdisk-'));
});
after(async () => {
  await removeRack(run, RACK);
  await rm(folder, { recursive: true });
});

async function vendorImage(files: Readonly<Record<string, string | Uint8Array>>): Promise<Buffer> {
  const tree = await mkdtemp(join(folder, 'tree-'));
  for (const [path, content] of Object.entries(files)) {
    const file = join(tree, path.replace(`${S}/`, ''));
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  }
  const image = join(folder, 'boot.img');
  await rm(image, { force: true });
  // As rpi-make-boot-image does, with the size at which its result is a FAT32.
  execFileSync('mkfs.vfat', ['-C', '-f', '1', '-s', '1', '-F', '32', '-n', 'BOOT', image, '36000']);
  execFileSync('sh', ['-c', `mcopy -i ${image} -smpQ ${tree}/* ::/`]);
  return readFile(image);
}

const LOOSE = 'boot_ramdisk=1\n';
for (const [model, files] of [
  ['pi4', PI4_FILES],
  ['pi5', PI5_FILES],
] as const) {
  test(`a ${model} reads everything from boot.img`, async () => {
    const image = await vendorImage(files);
    const outside = {
      [`${S}/config.txt`]: LOOSE,
      [`${S}/boot.img`]: image,
      [`${S}/start4.elf`]: 'not this one',
    };
    const result = await bootScene(RACK, { server: [...FULL, ...MENU], files: outside, model });
    assert.equal(result.kind, 'kernel-served', result.lines.join('\n'));
    const read = result.requests.flatMap(({ path, outcome }) => (outcome === 'read' ? [path] : []));
    assert.deepEqual([...new Set(read)].sort(), [`${S}/boot.img`, `${S}/config.txt`]);
  });
}

test('without a boot.img, or with one that is none, it says so and does not boot', async () => {
  for (const [files, told] of [
    [{}, /there is no boot\.img/],
    [{ [`${S}/boot.img`]: 'x'.repeat(5000) }, /boot\.img cannot be read: it is no FAT32/],
  ] as const) {
    const all = { ...PI5_FILES, ...files, [`${S}/config.txt`]: LOOSE };
    const result = await bootScene(RACK, { server: [...FULL, ...MENU], files: all, model: 'pi5' });
    assert.match(result.lines.join('\n'), told);
    assert.notEqual(result.kind, 'kernel-served');
  }
});

test('names are found without regard to case, in folders and by their long form', async () => {
  const image = new FatImage(
    await vendorImage({
      'Overlays/a-very-long-name.dtbo': 'long',
      'UPPER.TXT': 'short',
      'big.bin': 'b'.repeat(5000),
    }),
  );
  const text = (path: string) => Buffer.from(image.read(path) ?? 'nothing').toString();
  assert.equal(text('overlays/A-Very-Long-Name.dtbo'), 'long');
  assert.equal(text('upper.txt'), 'short');
  assert.equal(text('big.bin'), 'b'.repeat(5000));
  assert.equal(image.read('overlays'), undefined);
  assert.equal(image.read('none'), undefined);
});
