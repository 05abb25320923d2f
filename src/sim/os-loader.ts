import type { Board } from './board.ts';
import type { BootFiles } from './boot-files.ts';
import { type BootConfig, parseConfigTxt } from './config-txt.ts';
import { faultOfKernel, kernelFormat } from './kernel-image.ts';
import { FirmwareFailure, type Handover } from './wire.ts';

/** What start.elf, start4.elf and the Pi 5's loader have in common: from config.txt to what the kernel is given. */

/** Fetches config.txt and whatever it includes; every stage does so anew. @returns `undefined` without a config.txt. */
export async function readConfig(files: BootFiles, board: Board): Promise<BootConfig | undefined> {
  const bytes = await files.read('config.txt');
  if (!bytes) return undefined;
  const text = Buffer.from(bytes).toString('latin1');
  const included = new Map<string, string | undefined>();
  while (true) {
    const config = parseConfigTxt(text, board, included);
    const [next] = config.unread;
    if (next === undefined) return config;
    const found = await files.read(next);
    included.set(next, found && Buffer.from(found).toString('latin1'));
  }
}

export function isSet(config: BootConfig, key: string, whenAbsent: boolean): boolean {
  const value = config.settings.get(key);
  return value === undefined ? whenAbsent : Number(value) !== 0;
}

/** Pi 4 and 5 start 64-bit kernels by default, a Pi 3 only when told to. */
export function is64Bit(config: BootConfig, board: Board): boolean {
  return board.model === 'pi5' || isSet(config, 'arm_64bit', board.model !== 'pi3');
}

/** Kernel names in the order they are tried; a `kernel=` is the only one tried. */
export function kernelNames(config: BootConfig, board: Board): readonly string[] {
  const chosen = config.settings.get('kernel');
  if (chosen) return [chosen];
  if (board.model === 'pi5') return ['kernel_2712.img', 'kernel8.img'];
  if (is64Bit(config, board)) return ['kernel8.img'];
  return board.model === 'pi4' ? ['kernel7l.img', 'kernel7.img'] : ['kernel8-32.img', 'kernel7.img'];
}

/** Device trees in the order they are tried: `upstream_kernel=1` prefers the names of the mainline kernel. */
export function deviceTreeNames(config: BootConfig, board: Board): readonly string[] {
  const chosen = config.settings.get('device_tree');
  if (chosen) return [chosen];
  const [downstream, upstream] = {
    '3b': ['bcm2710-rpi-3-b.dtb', 'bcm2837-rpi-3-b.dtb'],
    '3b+': ['bcm2710-rpi-3-b-plus.dtb', 'bcm2837-rpi-3-b-plus.dtb'],
    '4b': ['bcm2711-rpi-4-b.dtb'],
    '5b': ['bcm2712-rpi-5-b.dtb', 'bcm2712d0-rpi-5-b.dtb'],
  }[board.variant] as [string, string?];
  if (!upstream) return [downstream];
  const isUpstream = board.model !== 'pi5' && isSet(config, 'upstream_kernel', false);
  return isUpstream ? [upstream, downstream] : [downstream, upstream];
}

/** `auto_initramfs=1`: the kernel's name with `initramfs` for `kernel`, without its ending (boot.adoc). */
export function initramfsNames(config: BootConfig, kernel: string): readonly string[] {
  if (config.initramfs.length > 0) return config.initramfs;
  if (!isSet(config, 'auto_initramfs', false) || !kernel.startsWith('kernel')) return [];
  return [kernel.replace(/^kernel/, 'initramfs').replace(/\.[^.]*$/, '')];
}

/** `os_prefix`, if kernel and device tree are there with it; a name that starts with `/` goes past it (boot.adoc). */
export async function osPrefixed(
  files: BootFiles,
  config: BootConfig,
  board: Board,
): Promise<(name: string) => string> {
  const prefix = config.settings.get('os_prefix') ?? '';
  if (prefix === '') return bare;
  const kernel = await firstProbed(files, kernelNames(config, board), (name) => prefix + name);
  const deviceTree = await firstProbed(files, deviceTreeNames(config, board), (name) => prefix + name);
  if (kernel === undefined || deviceTree === undefined) return bare;
  return (name) => (name.startsWith('/') ? bare(name) : prefix + name);
}

function bare(name: string): string {
  return name.replace(/^\//, '');
}

export async function firstProbed(
  files: BootFiles,
  names: readonly string[],
  path: (name: string) => string,
): Promise<string | undefined> {
  for (const name of names) if (await files.probe(path(name))) return name;
  return undefined;
}

/** The device tree and its name. @throws FirmwareFailure when there is none: no kernel starts without. */
export async function loadDeviceTree(
  files: BootFiles,
  config: BootConfig,
  board: Board,
  path: (name: string) => string,
): Promise<string> {
  const names = deviceTreeNames(config, board);
  for (const name of names) if (await files.probeAndRead(path(name))) return name;
  throw new FirmwareFailure(
    board.model === 'pi5'
      ? `no device tree for a Pi 5 (${names.join(', ')}): os_check refuses to boot an OS that was not made for it`
      : `no device tree (${names.join(', ')}): the kernel cannot start`,
  );
}

/** overlay_map.dtb and each overlay of config.txt; none of them has to be there. */
export async function loadOverlays(
  files: BootFiles,
  config: BootConfig,
  path: (name: string) => string,
): Promise<void> {
  const overlayPrefix = config.settings.get('overlay_prefix') ?? 'overlays/';
  const isPrefixed = path('x') !== 'x' && (await files.probe(path(`${overlayPrefix}README`)));
  const at = (name: string) => (isPrefixed ? path(overlayPrefix + name) : overlayPrefix + name);
  await files.probeAndRead(at('overlay_map.dtb'));
  for (const overlay of config.overlays) await files.probeAndRead(at(`${overlay}.dtbo`));
}

/** The files of the initramfs, put together. A missing one is passed over in silence, as firmware does. */
export async function loadInitramfs(
  files: BootFiles,
  names: readonly string[],
  path: (name: string) => string,
): Promise<Handover['initramfs']> {
  const parts: Uint8Array[] = [];
  for (const name of names) {
    const part = await files.read(path(name));
    if (part) parts.push(part);
  }
  const [only, second] = parts;
  if (!only) return undefined;
  return { name: names.join(','), bytes: second ? Buffer.concat(parts) : only };
}

/** The one line for the kernel; more lines are not read. @throws FirmwareFailure without a file. */
export async function loadCmdline(
  files: BootFiles,
  config: BootConfig,
  path: (name: string) => string,
): Promise<string> {
  const name = config.settings.get('cmdline') ?? 'cmdline.txt';
  const bytes = await files.probeAndRead(path(name));
  if (!bytes) throw new FirmwareFailure(`no ${name}: the kernel would not be told where its root is`);
  return (Buffer.from(bytes).toString('latin1').split('\n')[0] as string).trim();
}

/** @throws FirmwareFailure when the kernel is missing, or one this model cannot start in the mode it was told. */
export async function loadKernel(
  files: BootFiles,
  config: BootConfig,
  board: Board,
  path: (name: string) => string,
): Promise<Handover['kernel']> {
  const names = kernelNames(config, board);
  const name = await firstProbed(files, names, path);
  const bytes = name && (await files.read(path(name)));
  if (!name || !bytes)
    throw new FirmwareFailure(
      `no kernel ${names.map((tried) => `${path(tried)} (${files.answerTo(path(tried))})`).join(', ')}`,
    );
  const fault = faultOfKernel(kernelFormat(bytes), is64Bit(config, board));
  if (fault) throw new FirmwareFailure(`the kernel ${name} ${fault}`);
  return { name, bytes };
}
