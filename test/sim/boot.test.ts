import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { run } from '../../src/host/run.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { boardOf } from '../../src/sim/board.ts';
import { createRack, plugIn, rackNamespace, removeRack } from '../../src/sim/rack.ts';
import type { SimResult } from '../../src/sim/simulate.ts';
import { makeTree, removeTree, startDnsmasq } from './foreign-server.ts';
import { boot, bootScene, FULL, MENU, PADDED_MENU, PI3_FILES, PI4_FILES, PI5_FILES, S } from './scene.ts';
import { tinyKernel } from './tiny-kernel.ts';

/** Whole boots of every firmware against a server not ours: dnsmasq for DHCP and TFTP, in a rack of its own. */

const RACK = `boottest-${process.pid}`;

before(() => createRack(run, RACK, { address: '192.168.172.17/24' }));
after(() => removeRack(run, RACK));

const PROXY = ['--dhcp-range=192.168.172.0,proxy'];

/** `+` read, `~` probed, `-` missing. */
const asked = (result: SimResult) =>
  result.requests.map(
    ({ path, outcome }) =>
      `${{ read: '+', probed: '~', missing: '-', silent: '?', broken: '!' }[outcome]}${path}`,
  );

const START_ELF = (dtb: string, initramfs: string[], kernel: string[]) => [
  `-${S}/recovery.elf`,
  `~${S}/config.txt`,
  `+${S}/config.txt`,
  ...(initramfs.length > 0 ? [`+${S}/pi4.txt`] : []),
  `-${S}/dt-blob.bin`,
  `-${S}/recovery.elf`,
  `~${S}/config.txt`,
  `+${S}/config.txt`,
  ...(initramfs.length > 0 ? [`+${S}/pi4.txt`] : []),
  `-${S}/bootcfg.txt`,
  ...initramfs,
  ...(dtb.includes('2837') ? [`-${S}/bcm2710-rpi-3-b.dtb`] : []),
  `~${S}/${dtb}`,
  `+${S}/${dtb}`,
  `~${S}/overlays/overlay_map.dtb`,
  `+${S}/overlays/overlay_map.dtb`,
  `~${S}/overlays/disable-bt.dtbo`,
  `+${S}/overlays/disable-bt.dtbo`,
  `~${S}/config.txt`,
  `+${S}/config.txt`,
  ...(initramfs.length > 0 ? [`+${S}/pi4.txt`] : []),
  `~${S}/cmdline.txt`,
  `+${S}/cmdline.txt`,
  `-${S}/recovery8.img`,
  ...kernel,
];
const PI3_REQUESTS = (dtb: string) => [
  '+bootcode.bin',
  '-bootsig.bin',
  `~${S}/start.elf`,
  `~${S}/start.elf`,
  `-${S}/autoboot.txt`,
  `+${S}/config.txt`,
  `-${S}/recovery.elf`,
  `+${S}/start.elf`,
  `+${S}/fixup.dat`,
  ...START_ELF(
    dtb,
    [],
    [
      `~${S}/kernel8.img`,
      `~${S}/kernel8.img`,
      `-${S}/armstub8.bin`,
      `~${S}/kernel8.img`,
      `+${S}/kernel8.img`,
    ],
  ),
];

test('a Pi 3B+ boots: two DHCP exchanges, bootcode.bin from the root, start.elf by serial', async () => {
  const result = await bootScene(RACK, { model: 'pi3', server: [...FULL, ...MENU], files: PI3_FILES });
  assert.equal(result.kind, 'kernel-served', result.lines.join('\n'));
  assert.deepEqual(asked(result), PI3_REQUESTS('bcm2710-rpi-3-b-plus.dtb'));
  assert.equal(result.lines.filter((line) => line.includes('DISCOVER')).length, 2);
});

test('a Pi 3B boots when the menu text is padded; a mainline device tree will do', async () => {
  const result = await bootScene(RACK, {
    model: 'pi3',
    rom: '3b',
    server: [...FULL, ...PADDED_MENU],
    files: PI3_FILES,
  });
  assert.equal(result.kind, 'kernel-served', result.lines.join('\n'));
  assert.deepEqual(asked(result), PI3_REQUESTS('bcm2837-rpi-3-b.dtb'));
});

test('a Pi 4 boots: include, kernel and initramfs of config.txt, first line of cmdline.txt', async () => {
  const result = await bootScene(RACK, { model: 'pi4', server: [...FULL, ...MENU], files: PI4_FILES });
  assert.equal(result.kind, 'kernel-served', result.lines.join('\n'));
  assert.deepEqual(asked(result), [
    `~${S}/start4.elf`,
    `+${S}/config.txt`,
    `+${S}/pi4.txt`,
    `-${S}/vl805.sig`,
    `-${S}/pieeprom.sig`,
    `-${S}/recover4.elf`,
    `-${S}/recovery.elf`,
    `+${S}/start4.elf`,
    `+${S}/fixup4.dat`,
    ...START_ELF(
      'bcm2711-rpi-4-b.dtb',
      [`+${S}/initrd.img`],
      [`~${S}/vmlinuz`, `+${S}/vmlinuz`, `-${S}/armstub8-gic.bin`],
    ),
  ]);
  assert.equal(result.cmdline, 'console=serial0,115200 root=/dev/nfs');
  assert.equal(result.initramfs, 'initrd.img');
});

test('a Pi 5 boots: config.txt decides the prefix, then the double slash, kernel8.img for want of kernel_2712.img', async () => {
  const result = await bootScene(RACK, { model: 'pi5', server: [...FULL, ...MENU], files: PI5_FILES });
  assert.equal(result.kind, 'kernel-served', result.lines.join('\n'));
  assert.deepEqual(asked(result), [
    `~${S}/config.txt`,
    `+${S}/config.txt`,
    `-${S}/pieeprom.sig`,
    `~${S}//config.txt`,
    `+${S}//config.txt`,
    `~${S}//bcm2712-rpi-5-b.dtb`,
    `+${S}//bcm2712-rpi-5-b.dtb`,
    `~${S}//overlays/overlay_map.dtb`,
    `+${S}//overlays/overlay_map.dtb`,
    `~${S}//overlays/disable-bt.dtbo`,
    `+${S}//overlays/disable-bt.dtbo`,
    `~${S}//cmdline.txt`,
    `+${S}//cmdline.txt`,
    `-${S}//kernel_2712.img`,
    `~${S}//kernel8.img`,
    `+${S}//kernel8.img`,
    `-${S}//armstub8-2712.bin`,
  ]);
});

test('a Pi 4 that is also booted: the kernel that was fetched runs in QEMU', async () => {
  const kernel = gzipSync(tinyKernel('first light\n', 'power off'));
  const files = { ...PI4_FILES, [`${S}/vmlinuz`]: kernel };
  const result = await bootScene(RACK, { model: 'pi4', boot: true, server: [...FULL, ...MENU], files });
  assert.equal(result.kind, 'powered-off', result.lines.join('\n'));
  assert.ok(result.lines.includes('pi4 9ffefdef  │ first light'));
});

test('the prefix is dropped when nothing is below the serial', async () => {
  const unprefixed = Object.entries(PI4_FILES).map(([path, text]) => [path.slice(`${S}/`.length), text]);
  const files = Object.fromEntries(unprefixed);
  const result = await bootScene(RACK, { model: 'pi4', server: [...FULL, ...MENU], files });
  assert.equal(result.kind, 'kernel-served', result.lines.join('\n'));
  assert.deepEqual(asked(result).slice(0, 3), [`-${S}/start4.elf`, `-${S}/start.elf`, '+config.txt']);
});

test('the address from one server, everything else from a proxy beside it', async () => {
  const tree = await makeTree(PI4_FILES);
  const proxyHost = boardOf({ model: 'pi3', serial: parseSerial('000000aa') });
  const namespace = await plugIn(run, RACK, proxyHost); // any machine with a cable will do
  await run('ip', ['-n', namespace, 'address', 'add', '192.168.172.18/24', 'dev', 'eth0']);
  try {
    await using _router = await startDnsmasq(rackNamespace(RACK), 'br0', FULL);
    const tftp = ['--enable-tftp', `--tftp-root=${tree}`];
    await using _proxy = await startDnsmasq(namespace, 'eth0', [...PROXY, ...MENU, ...tftp]);
    const result = await boot(RACK, { model: 'pi4', timeScale: 1 });
    assert.equal(result.kind, 'kernel-served', result.lines.join('\n'));
    assert.ok(result.lines.some((line) => /ACK .*boots from 192\.168\.172\.18$/.test(line)));
  } finally {
    await removeTree(tree);
  }
});
