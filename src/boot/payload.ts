import type { Generation } from '../model/generation.ts';
import { platforms } from '../model/loader.ts';
import { PI4_EEPROM, PI5_EEPROM, PI5_OS_LOADER, START4_ELF } from './firmware-eeprom.ts';
import type { Firmware } from './firmware-facts.ts';
import { BOOTCODE, PI3B_ROM, START_ELF } from './firmware-pi3.ts';

/** A board: the programs that run on it one after the other, and its device trees, those it asks for first first. */
interface Board {
  readonly stages: readonly Firmware[];
  readonly upstream: readonly string[];
  readonly downstream: readonly string[];
}

const PI_3 = [PI3B_ROM, BOOTCODE, START_ELF];
const PI_4 = [PI4_EEPROM, START4_ELF];
const PI_5 = [PI5_EEPROM, PI5_OS_LOADER];

/** Names of device trees: raspberrypi/documentation, config_txt/boot.adoc (`upstream_kernel`). */
const BOARDS: Readonly<Record<string, Board>> = {
  'Pi 3B': { stages: PI_3, upstream: ['bcm2837-rpi-3-b.dtb'], downstream: ['bcm2710-rpi-3-b.dtb'] },
  'Pi 3B+': {
    stages: PI_3,
    upstream: ['bcm2837-rpi-3-b-plus.dtb'],
    downstream: ['bcm2710-rpi-3-b-plus.dtb'],
  },
  'Pi 4B': { stages: PI_4, upstream: [], downstream: ['bcm2711-rpi-4-b.dtb'] },
  'Pi 5': { stages: PI_5, upstream: [], downstream: ['bcm2712-rpi-5-b.dtb', 'bcm2712d0-rpi-5-b.dtb'] },
};

/** What one boot of a board fetches: files of the generation, each counted once, without what is made for the node. */
export interface BoardPayload {
  readonly board: string;
  readonly files: readonly string[];
  readonly bytes: number;
}

/** Of each board that can start this generation, and of each machine that it has a boot loader for. */
export function payloads(generation: Generation): BoardPayload[] {
  const { arch, boot } = generation;
  const pis = arch === 'amd64' ? [] : Object.entries(BOARDS);
  const machines = platforms().filter(
    ({ arch: own, loader }) => own === arch && loader !== undefined && Object.hasOwn(boot.files, loader),
  );
  return [
    ...pis.flatMap(([name, board]) => {
      const files = filesOf(generation, board);
      return files ? [sum(generation, name, files)] : [];
    }),
    ...machines.map(({ name, loader }) => sum(generation, name, [loader as string, ...systemOf(generation)])),
  ];
}

/** Bytes by board, for whoever lists them. */
export const fetchedBytes = (generation: Generation): Readonly<Record<string, number>> =>
  Object.fromEntries(payloads(generation).map(({ board, bytes }) => [board, bytes]));

/** @returns nothing where the generation has no device tree or no firmware for the board: it could not start it. */
function filesOf(generation: Generation, board: Board): string[] | undefined {
  const { boot } = generation;
  const has = (name: string) => Object.hasOwn(boot.files, name);
  const settings = lastSettings(boot.config);
  const wanted = settings.get('device_tree')
    ? [settings.get('device_tree') as string]
    : settings.get('upstream_kernel') === '1'
      ? [...board.upstream, ...board.downstream]
      : [...board.downstream, ...board.upstream];
  const deviceTree = wanted.find(has);
  const asked = board.stages
    .flatMap(({ files }) => files?.value ?? [])
    .filter((name) => !name.startsWith('kernel'));
  const firmware = asked.map((name) => inBuild(name, settings)).filter(has);
  const needsStart = asked.some((name) => /^start4?\.elf$/.test(name));
  if (deviceTree === undefined || (needsStart && !firmware.some((name) => name.startsWith('start')))) return;
  const overlays = boot.config
    .flatMap((line) => /^dtoverlay=([\w-]+)/.exec(line)?.[1] ?? [])
    .map((name) => `overlays/${name}.dtbo`);
  return [...firmware, deviceTree, ...overlays.filter(has), ...systemOf(generation)];
}

/** Kernel and initramfs are what the node's config.txt names, whatever a firmware would look for by itself. */
const systemOf = ({ boot: { kernel, initramfs } }: Generation): string[] =>
  initramfs === undefined ? [kernel] : [kernel, initramfs];

/** start.elf and fixup.dat come in four builds; three settings choose (config_txt/boot.adoc, memory.adoc). */
function inBuild(name: string, settings: ReadonlyMap<string, string>): string {
  const [, stem, four, ending] = /^(start|fixup)(4?)(\.elf|\.dat)$/.exec(name) ?? [];
  if (stem === undefined) return name;
  const named = settings.get(`${stem}_file`);
  if (named !== undefined) return named;
  const on = (key: string) => settings.get(key) === '1';
  const build = on('start_x') ? 'x' : on('start_debug') ? 'db' : settings.get('gpu_mem') === '16' ? 'cd' : '';
  // The older family is start_x.elf, the newer start4x.elf.
  return `${stem}${four}${build !== '' && four === '' ? '_' : ''}${build}${ending}`;
}

/** Filters such as [pi4] aside: what is said last holds. */
const lastSettings = (config: readonly string[]): ReadonlyMap<string, string> =>
  new Map(
    config.flatMap((line) => {
      const [, key, value] = /^\s*(\w+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
      return key === undefined || value === undefined ? [] : [[key, value] as const];
    }),
  );

function sum({ boot }: Generation, board: string, names: readonly string[]): BoardPayload {
  const files = [...new Set(names)].filter((name) => Object.hasOwn(boot.files, name));
  return { board, files, bytes: files.reduce((bytes, name) => bytes + (boot.files[name]?.size ?? 0), 0) };
}
