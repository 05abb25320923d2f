import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { run } from '../../src/host/run.ts';
import { parseSerial } from '../../src/net/serial.ts';
import type { BoardChoice } from '../../src/sim/board.ts';
import { rackNamespace } from '../../src/sim/rack.ts';
import { type SimResult, simulatePi } from '../../src/sim/simulate.ts';
import { makeTree, removeTree, startDnsmasq } from './foreign-server.ts';

/** What whole boots against dnsmasq have in common: one Pi, a small boot tree, a server in the rack. */

export const serial = parseSerial('9ffefdef');
/** The folder of the Pi's boot tree. */
export const S = serial;
export const FULL = ['--dhcp-range=192.168.172.100,192.168.172.199,255.255.255.0,1h'];
export const MENU = ['--pxe-service=0,Raspberry Pi Boot'];
export const PADDED_MENU = ['--pxe-service=0,"Raspberry Pi Boot   "'];

export const COMMON = {
  [`${S}/config.txt`]: 'arm_64bit=1\ndtoverlay=disable-bt\n[pi4]\ninclude pi4.txt\n',
  [`${S}/pi4.txt`]: 'kernel=vmlinuz\ninitramfs initrd.img followkernel\n',
  [`${S}/cmdline.txt`]: 'console=serial0,115200 root=/dev/nfs\nsecond line\n',
  [`${S}/kernel8.img`]: 'kernel8',
  [`${S}/vmlinuz`]: 'vmlinuz',
  [`${S}/initrd.img`]: 'initrd',
  [`${S}/overlays/overlay_map.dtb`]: 'map',
  [`${S}/overlays/disable-bt.dtbo`]: 'overlay',
};
export const PI3_FILES = {
  ...COMMON,
  'bootcode.bin': 'x'.repeat(52_476),
  [`${S}/start.elf`]: 'start',
  [`${S}/fixup.dat`]: 'fixup',
  [`${S}/bcm2710-rpi-3-b-plus.dtb`]: 'dtb',
  [`${S}/bcm2837-rpi-3-b.dtb`]: 'dtb',
};
export const PI4_FILES = {
  ...COMMON,
  [`${S}/start4.elf`]: 'x'.repeat(200_000),
  [`${S}/fixup4.dat`]: 'fixup',
  [`${S}/bcm2711-rpi-4-b.dtb`]: 'dtb',
};
export const PI5_FILES = { ...COMMON, [`${S}/bcm2712-rpi-5-b.dtb`]: 'dtb' };

export interface Scene extends Omit<BoardChoice, 'serial'> {
  readonly server: readonly string[];
  readonly files: Readonly<Record<string, string | Uint8Array>>;
  readonly timeScale?: number;
  readonly boot?: boolean;
}

/** One boot; the lines it printed are in the result, and nothing is left of it afterwards. */
export async function bootScene(rack: string, scene: Scene): Promise<SimResult & { lines: string[] }> {
  const { server, files, timeScale = 1, ...choice } = scene;
  const tree = await makeTree(files);
  try {
    await using _dnsmasq = await startDnsmasq(rackNamespace(rack), 'br0', [
      ...server,
      '--enable-tftp',
      `--tftp-root=${tree}`,
    ]);
    return await boot(rack, { ...choice, timeScale });
  } finally {
    await removeTree(tree);
  }
}

export async function boot(
  rack: string,
  choice: Omit<BoardChoice, 'serial'> & { timeScale: number; boot?: boolean },
) {
  const lines: string[] = [];
  const print = (line: string) => lines.push(line);
  const signal = AbortSignal.timeout(20_000);
  const result = await simulatePi({ run, rack, boot: false, serial, print, signal, ...choice });
  assert.deepEqual(await namespacesOf(`${rackNamespace(rack)}-${serial}`), []);
  const leftOver = (await readdir(tmpdir())).filter((name) => name.startsWith(`netboot-sim-${rack}-`));
  assert.deepEqual(leftOver, []);
  return { ...result, lines };
}

export async function namespacesOf(prefix: string): Promise<string[]> {
  return (await run('ip', ['netns', 'list'])).split('\n').filter((line) => line.startsWith(prefix));
}
