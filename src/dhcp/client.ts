import { oui } from '../net/mac.ts';
import type { Serial } from '../net/serial.ts';
import { decodeMachineId, type MachineId } from './machine-id.ts';
import { OPTION, type Options, readText } from './options.ts';
import type { DhcpMessage } from './packet.ts';

/** The Pi firmwares that differ on the wire. `pi3` is bootcode.bin or the 3B+ ROM, on any of Pi 1 to 3. */
export type PiModel = 'pi3-rom' | 'pi3' | 'pi4' | 'pi5';

/** Which program is asking. One MAC is several of these in one boot: firmware, then perhaps UEFI, then Linux. */
export type Client =
  | { readonly kind: 'pi'; readonly model: PiModel; readonly serial?: Serial }
  | { readonly kind: 'ipxe'; readonly arch: number | undefined }
  | { readonly kind: 'http'; readonly arch: number | undefined }
  | { readonly kind: 'pxe'; readonly arch: number | undefined }
  | { readonly kind: 'u-boot' }
  /** A kernel or an operating system: it wants an address and nothing of booting. */
  | { readonly kind: 'plain' };

/**
 * The makers' prefixes of on-board Ethernet and the model they mostly mean. A hint only: such lists go stale
 * (raspberrypi/piserver#76, #166) and an EEPROM may set any MAC, so option 97 goes first.
 */
const PI_OUIS: ReadonlyMap<string, PiModel> = new Map([
  ['b8:27:eb', 'pi3'],
  ['dc:a6:32', 'pi4'],
  ['e4:5f:01', 'pi4'],
  ['d8:3a:dd', 'pi4'],
  ['28:cd:c1', 'pi4'],
  ['3a:35:41', 'pi4'],
  ['2c:cf:67', 'pi5'],
  ['88:a2:9e', 'pi5'], // unsourced: compare the IEEE's list
]);

/** Every Pi 3 firmware uses this transaction id, on every board. */
const PI3_XID = 0x26f30339;

/** Architecture 0 is "x86 BIOS", and what every native Pi sends over IPv4 (raspberrypi/rpi-eeprom#182); 41 is rpiboot. */
const PI_ARCHS: ReadonlySet<number | undefined> = new Set([undefined, 0, 41]);
const U_BOOT_ARCHS: ReadonlySet<number | undefined> = new Set([21, 22]);

/** Which firmware or program sent this message. The order of the questions is what keeps a Pi from being a PC. */
export function classify(message: DhcpMessage): Client {
  const { options } = message;
  const vendorClass = readText(options, OPTION.vendorClass) ?? '';
  const arch = readArch(options, vendorClass);
  if (isIpxe(options)) return { kind: 'ipxe', arch };
  if (vendorClass.startsWith('HTTPClient')) return { kind: 'http', arch };
  if (vendorClass.startsWith('PXEClient')) return classifyPi(message, arch) ?? { kind: 'pxe', arch };
  if (vendorClass.startsWith('U-Boot') || U_BOOT_ARCHS.has(arch)) return { kind: 'u-boot' };
  return { kind: 'plain' };
}

/** How a person is told what asked: `Pi 4`, `Pi 3 (boot ROM)`. */
export function machineName(model: PiModel): string {
  return { 'pi3-rom': 'Pi 3 (boot ROM)', pi3: 'Pi 3 or older', pi4: 'Pi 4', pi5: 'Pi 5' }[model];
}

function classifyPi(message: DhcpMessage, arch: number | undefined): Client | undefined {
  // UEFI on a Pi has a Pi's MAC too, but says 11, and must not get the firmware's menu.
  if (!PI_ARCHS.has(arch)) return undefined;
  const modelOfOui = PI_OUIS.get(oui(message.chaddr));
  const id = decodeMachineId(message.options.get(OPTION.clientMachineId) ?? new Uint8Array());
  switch (id.kind) {
    case 'board':
      return { kind: 'pi', model: modelOfBoard(id), serial: id.serial };
    case 'serial': {
      const model = message.xid === PI3_XID ? 'pi3' : (modelOfOui ?? 'pi4');
      return { kind: 'pi', model, serial: id.serial };
    }
    case 'pi3-rom':
      return { kind: 'pi', model: 'pi3-rom' };
    case 'other':
      return modelOfOui && { kind: 'pi', model: modelOfOui };
  }
}

/** Bits 12-15 of a new-style revision code are the processor: 3 is BCM2711, 4 is BCM2712. */
function modelOfBoard(id: MachineId & { kind: 'board' }): PiModel {
  return ((id.boardRevision >>> 12) & 0xf) >= 4 ? 'pi5' : 'pi4';
}

/** Option 93 (RFC 4578 section 2.1, the first of its list), else the number in option 60's text. */
function readArch(options: Options, vendorClass: string): number | undefined {
  const bytes = options.get(OPTION.clientArch);
  if (bytes && bytes.length >= 2) return (bytes[0] as number) * 0x100 + (bytes[1] as number);
  const match = /Arch:(\d{5})/.exec(vendorClass);
  return match ? Number(match[1]) : undefined;
}

/** iPXE sends its user class as bare text, against RFC 3004; other senders put the length before it. */
function isIpxe(options: Options): boolean {
  const userClass = readText(options, OPTION.userClass);
  return userClass === 'iPXE' || userClass === '\x04iPXE';
}
