import { modelOfOui, PI_ARCHS, PI3_XID, type PiModel } from '../boot/firmware.ts';
import { oui } from '../net/mac.ts';
import type { Serial } from '../net/serial.ts';
import { decodeMachineId, type MachineId } from './machine-id.ts';
import { OPTION, type Options, readText } from './options.ts';
import type { DhcpMessage } from './packet.ts';

export type { PiModel } from '../boot/firmware.ts';

/** Which program is asking. One MAC is several of these in one boot: firmware, then perhaps UEFI, then Linux. */
export type Client =
  | { readonly kind: 'pi'; readonly model: PiModel; readonly serial?: Serial }
  | { readonly kind: 'ipxe'; readonly arch: number | undefined }
  | { readonly kind: 'http'; readonly arch: number | undefined }
  | { readonly kind: 'pxe'; readonly arch: number | undefined }
  | { readonly kind: 'u-boot' }
  /** A kernel or an operating system: it wants an address and nothing of booting. */
  | { readonly kind: 'plain' };

const U_BOOT_ARCHS: ReadonlySet<number | undefined> = new Set([21, 22]);

/**
 * Which firmware or program sent this message. The order of the questions is what keeps a Pi from being a PC.
 * @param ouis makers' prefixes of the configuration, beside those that are known.
 */
export function classify(message: DhcpMessage, ouis?: ReadonlyMap<string, PiModel>): Client {
  const { options } = message;
  const vendorClass = readText(options, OPTION.vendorClass) ?? '';
  const arch = readArch(options, vendorClass);
  if (isIpxe(options)) return { kind: 'ipxe', arch };
  if (vendorClass.startsWith('HTTPClient')) return { kind: 'http', arch };
  if (vendorClass.startsWith('PXEClient')) return classifyPi(message, arch, ouis) ?? { kind: 'pxe', arch };
  if (vendorClass.startsWith('U-Boot') || U_BOOT_ARCHS.has(arch)) return { kind: 'u-boot' };
  return { kind: 'plain' };
}

/** How a person is told what asked: `Pi 4`, `Pi 3 (boot ROM)`. */
export function machineName(model: PiModel): string {
  return { 'pi3-rom': 'Pi 3 (boot ROM)', pi3: 'Pi 3 or older', pi4: 'Pi 4', pi5: 'Pi 5' }[model];
}

/**
 * Who starts whom in one boot: the ROM of a Pi 3 its bootcode.bin, a Pi's firmware a UEFI or U-Boot, a PXE ROM iPXE.
 * `undefined` for what does not boot.
 */
export function stageOrder(client: Client): number | undefined {
  switch (client.kind) {
    case 'pi':
      return client.model === 'pi3-rom' ? 0 : 1;
    case 'pxe':
    case 'http':
      return 2;
    case 'ipxe':
    case 'u-boot':
      return 3;
    case 'plain':
      return undefined;
  }
}

function classifyPi(
  message: DhcpMessage,
  arch: number | undefined,
  ouis: ReadonlyMap<string, PiModel> | undefined,
): Client | undefined {
  // UEFI on a Pi has a Pi's MAC too, but says 11, and must not get the firmware's menu.
  if (!PI_ARCHS.value.includes(arch)) return undefined;
  const hint = modelOfOui(oui(message.chaddr), ouis);
  const id = decodeMachineId(message.options.get(OPTION.clientMachineId) ?? new Uint8Array());
  switch (id.kind) {
    case 'board':
      return { kind: 'pi', model: modelOfBoard(id), serial: id.serial };
    case 'serial': {
      const model = message.xid === PI3_XID.value ? 'pi3' : (hint ?? 'pi4');
      return { kind: 'pi', model, serial: id.serial };
    }
    case 'pi3-rom':
      return { kind: 'pi', model: 'pi3-rom' };
    case 'other':
      return hint && { kind: 'pi', model: hint };
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
