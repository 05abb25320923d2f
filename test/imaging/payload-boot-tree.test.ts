import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { globSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { gunzipSync, gzipSync } from 'node:zlib';
import { firmwareBuilds } from '../../src/imaging/plan/payload-reads.ts';

const STEPS = join(import.meta.dirname, '../../src/imaging/steps');
const FIRMWARE = 'usr/lib/raspi-firmware';
const ARM64 = {
  'boot/vmlinuz-6.12-arm64': 'MZ an arm64 kernel',
  'usr/lib/linux-image-6.12-arm64/broadcom/bcm2711-rpi-4-b.dtb': 'pi 4',
  'usr/lib/linux-image-6.12-arm64/broadcom/bcm2837-rpi-3-b.dtb': 'pi 3',
  'usr/lib/linux-image-6.12-arm64/broadcom/bcm4906-router.dtb': 'no pi',
  'usr/lib/linux-image-6.12-arm64/rockchip/rk3399.dtb': 'no pi',
  [`${FIRMWARE}/bootcode.bin`]: 'boot',
  [`${FIRMWARE}/start.elf`]: 's',
  [`${FIRMWARE}/start_x.elf`]: 'x',
  [`${FIRMWARE}/start4.elf`]: 's',
  [`${FIRMWARE}/start4x.elf`]: 'x',
  [`${FIRMWARE}/start4cd.elf`]: 'cd',
  [`${FIRMWARE}/fixup4x.dat`]: 'x',
  [`${FIRMWARE}/overlays/disable-bt.dtbo`]: 'overlay',
};

describe('the boot tree', () => {
  let folder: string;
  let count = 0;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'netboot-boot-tree-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  async function put(root: string, path: string, content: string | Buffer): Promise<void> {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }

  /** Runs steps/boot-tree.sh on a root of these files; gives the folder it filled. */
  async function collect(
    files: Readonly<Record<string, string | Buffer>>,
    variables: Readonly<Record<string, string>> = {},
    prepare: (root: string) => Promise<void> = async () => {},
  ): Promise<string> {
    const root = join(folder, `root${count}`);
    const out = join(folder, `out${count++}`);
    await mkdir(out);
    await mkdir(join(root, 'boot'), { recursive: true });
    for (const [path, content] of Object.entries(files)) await put(root, path, content);
    await prepare(root);
    const env = {
      PATH: '/usr/bin:/bin',
      LC_ALL: 'C.UTF-8',
      ...{ ROOT: root, OUT: out, ARCH: 'arm64', KERNEL: 'kernel8.img', FIRMWARE: '-', ...variables },
    };
    // As enter.sh runs it: sourced.
    await promisify(execFile)('sh', ['-euc', '. "$0"', join(STEPS, 'boot-tree.sh')], { env, cwd: folder });
    return out;
  }
  const found = (out: string) =>
    globSync('**/*', { cwd: out, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(out.length + 1))
      .toSorted();

  it('is what Pis fetch, the kernel packed', async () => {
    const out = await collect(ARM64);
    assert.deepEqual(found(out), [
      'bcm2711-rpi-4-b.dtb',
      'bcm2837-rpi-3-b.dtb',
      'bootcode.bin',
      'kernel8.img',
      'overlays/disable-bt.dtbo',
      'start.elf',
      'start4.elf',
    ]);
    const kernel = await readFile(join(out, 'kernel8.img'));
    assert.equal(gunzipSync(kernel).toString(), 'MZ an arm64 kernel');
    assert.deepEqual([...kernel.subarray(3, 8)], [0, 0, 0, 0, 0], 'neither a name nor a time in it');
  });

  it('has the builds of start.elf that config.txt asks for', async () => {
    const out = await collect(ARM64, { FIRMWARE: firmwareBuilds(['start_x=1']) });
    assert.deepEqual(
      found(out).filter((name) => /^(start|fixup)/.test(name)),
      ['fixup4x.dat', 'start.elf', 'start4.elf', 'start4x.elf', 'start_x.elf'],
    );
  });

  it('leaves a kernel as it is that is packed already, or unpacks itself', async () => {
    const packed = gzipSync('MZ a kernel of Raspberry Pi OS');
    const out = await collect({ 'boot/vmlinuz-6.12-v8': packed });
    assert.deepEqual(await readFile(join(out, 'kernel8.img')), packed);
    const armhf = await collect(
      {
        'boot/vmlinuz-6.12-armmp': 'a zImage',
        'usr/lib/linux-image-6.12-armmp/bcm2836-rpi-2-b.dtb': 'pi 2',
        'usr/lib/linux-image-6.12-armmp/sun8i.dtb': 'no pi',
      },
      { ARCH: 'armhf', KERNEL: 'kernel7.img' },
    );
    assert.deepEqual(found(armhf), ['bcm2836-rpi-2-b.dtb', 'kernel7.img']);
    assert.equal(await readFile(join(armhf, 'kernel7.img'), 'utf8'), 'a zImage');
  });

  it('is the kernel alone for a PC', async () => {
    const out = await collect({ 'boot/vmlinuz-6.12-amd64': 'k' }, { ARCH: 'amd64', KERNEL: 'vmlinuz' });
    assert.deepEqual(found(out), ['vmlinuz']);
  });

  it('refuses a root with no kernel or two, and a file that a Pi 3 cannot count to the end of', async () => {
    await assert.rejects(collect({}), /there must be one kernel in the image/);
    await assert.rejects(
      collect({ 'boot/vmlinuz-1': 'a', 'boot/vmlinuz-2': 'b' }),
      /one kernel.*\n.*vmlinuz-2/s,
    );
    const large = async (root: string) => truncate(join(root, FIRMWARE, 'start.elf'), 32 * 1024 * 1024);
    await assert.rejects(collect(ARM64, {}, large), /start\.elf is 32 MiB or more: too big for a Pi 3/);
  });
});

describe('the builds of start.elf', () => {
  for (const { given, expect } of [
    { given: [], expect: '-' },
    { given: ['gpu_mem=16'], expect: '- cd' },
    { given: ['gpu_mem_256 = 16', 'start_debug=1'], expect: '- cd db' },
    { given: ['gpu_mem=64', 'start_x=0'], expect: '-' },
    { given: ['include more.txt'], expect: '- cd db x' },
  ])
    it(`are "${expect}" for ${JSON.stringify(given)}`, () => assert.equal(firmwareBuilds(given), expect));
});
