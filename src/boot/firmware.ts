import { EEPROM_HTTP, PI4_EEPROM, PI5_EEPROM, PI5_OS_LOADER, START4_ELF } from './firmware-eeprom.ts';
import type { DhcpFirmware, DhcpHabits, Fact, Firmware, PiModel } from './firmware-facts.ts';
import { EDK2, EDK2_HTTP, IPXE, LINUX, U_BOOT } from './firmware-guests.ts';
import { BOOTCODE, PI3B_PLUS_ROM, PI3B_ROM, START_ELF } from './firmware-pi3.ts';
import { OUI_HINTS } from './firmware-wire.ts';

/**
 * What is known of every program that a Pi runs before its system, as data: what it sends, needs, forbids and breaks
 * on. The decisions of the other rooms read it here, and only here.
 */
export const FIRMWARES: readonly Firmware[] = [
  PI3B_ROM,
  PI3B_PLUS_ROM,
  BOOTCODE,
  START_ELF,
  PI4_EEPROM,
  START4_ELF,
  PI5_EEPROM,
  PI5_OS_LOADER,
  EEPROM_HTTP,
  LINUX,
  EDK2,
  EDK2_HTTP,
  U_BOOT,
  IPXE,
];

export type {
  Breakage,
  Confidence,
  DhcpHabits,
  Fact,
  Firmware,
  PiModel,
  TftpHabits,
} from './firmware-facts.ts';
export {
  BOOT_TEXT,
  MACHINE_ID_MAGICS,
  OUI_HINTS,
  PI_ARCHS,
  PI3_XID,
  SERIAL_TAIL_OUI,
} from './firmware-wire.ts';

/** The first stage of each model. The 3B+ ROM cannot be told from bootcode.bin, and is answered alike. */
const BY_MODEL: Record<PiModel, DhcpFirmware> = {
  'pi3-rom': PI3B_ROM,
  pi3: BOOTCODE,
  pi4: PI4_EEPROM,
  pi5: PI5_EEPROM,
};

export function dhcpHabits(model: PiModel): DhcpHabits {
  return BY_MODEL[model].dhcp;
}

/**
 * How long the address in an offer has to be kept for a Pi that says nothing more. Where no DHCPREQUEST follows it must
 * last for the whole boot, slow switches included; a confirming firmware may fall back to an older offer too
 * (DHCP_TIMEOUT is 45 s, and BOOT_ORDER starts over), so all get the same.
 */
export const OFFER_HOLD_MS = 10 * 60_000;

/** What the maker's prefix hints at. `own` are the prefixes of the configuration; they go first. */
export function modelOfOui(prefix: string, own?: ReadonlyMap<string, PiModel>): PiModel | undefined {
  return own?.get(prefix) ?? OUI_HINTS.get(prefix)?.value;
}

const LAST_BLOCK = 65_535;

/** A file size over which some firmware fails, and which one. */
export interface TransferLimit extends Fact<number> {
  readonly firmware: string;
  /** The release from which on it reads larger files, where there is one. */
  readonly mendedBy?: string;
}

/**
 * The largest file, in bytes, that every Pi firmware asking for blocks of this size can read: those that do not count
 * past block 65535 stop there, and start4.elf cuts the file without a word. `undefined` for a size that none asks for.
 * Without the option a block has 512 bytes.
 */
export function transferLimit(blockSize: number): TransferLimit | undefined {
  for (const { name, tftp } of FIRMWARES) {
    const block = tftp?.blockSizes.find((each) => each.value === blockSize);
    if (!block || !tftp) continue;
    const mended = tftp.rollsOverSince;
    // A size that came and went before the counter was mended never meets a mended counter.
    const newest = tftp.blockSizes.at(-1) === block;
    return {
      value: LAST_BLOCK * blockSize - 1,
      firmware: name,
      source: (mended ?? block).source,
      confidence: (mended ?? block).confidence,
      ...(mended && newest ? { mendedBy: mended.value } : {}),
    };
  }
  return undefined;
}

/** Milliseconds within which the slowest-tempered firmware wants a whole file (TFTP_FILE_TIMEOUT). */
export const FILE_TIMEOUT_MS = Math.min(
  ...FIRMWARES.flatMap(({ tftp }) => (tftp?.fileTimeoutMs ? [tftp.fileTimeoutMs.value] : [])),
);

const patternOf = (name: string): RegExp =>
  new RegExp(`^${name.replaceAll('.', '\\.').replaceAll('*', '[^/]*')}$`);
const EXPECTED_MISS_PATTERNS = [
  ...new Set(FIRMWARES.flatMap(({ expectedMisses }) => expectedMisses?.value ?? [])),
].map(patternOf);

const lastName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** Whether a working boot asks for this name and does not find it: no reason to alarm a person. */
export function isExpectedMiss(path: string): boolean {
  return EXPECTED_MISS_PATTERNS.some((pattern) => pattern.test(lastName(path)));
}
