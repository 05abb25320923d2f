import { BOOT_TEXT } from '../boot/firmware.ts';
import { textBytes } from './options.ts';

/** One item of a PXE boot menu. Type 0 means "boot from the server that sent this". */
export interface BootMenuItem {
  readonly type: number;
  readonly text: string;
}

/** The sub-options of option 43 under vendor class "PXEClient" that we send. */
export type PxeSubOption =
  | { readonly kind: 'discoveryControl'; readonly flags: number }
  | { readonly kind: 'bootMenu'; readonly items: readonly BootMenuItem[] }
  | { readonly kind: 'menuPrompt'; readonly timeoutSeconds: number; readonly text: string }
  | { readonly kind: 'bootItem'; readonly item: Uint8Array };

/** Neither broadcast (1) nor multicast (2) discovery of boot servers: whoever sent the menu is the one. */
const NO_DISCOVERY = 1 | 2;
const PAD = 0;
const END = 255;
/** Which item of a menu, and which layer of its boot file: 4 bytes, the same in question and answer. */
const BOOT_ITEM = 71;

/** Writes an option 43 payload: the sub-options in the order given and the END that PXE wants inside the option. */
export function encodePxe(subOptions: readonly PxeSubOption[]): Uint8Array {
  const bytes = subOptions.flatMap((subOption) => {
    const [code, value] = encodeSubOption(subOption);
    return [code, value.length, ...value];
  });
  return Uint8Array.of(...bytes, END);
}

function encodeSubOption(subOption: PxeSubOption): [code: number, value: number[]] {
  switch (subOption.kind) {
    case 'discoveryControl':
      return [6, [subOption.flags]];
    case 'bootMenu':
      return [9, subOption.items.flatMap(encodeItem)];
    case 'menuPrompt':
      return [10, [subOption.timeoutSeconds, ...textBytes(subOption.text)]];
    case 'bootItem':
      return [BOOT_ITEM, [...subOption.item]];
  }
}

function encodeItem({ type, text }: BootMenuItem): number[] {
  return [type >> 8, type & 0xff, text.length, ...textBytes(text)];
}

/** The menu a Raspberry Pi's firmware looks for, with the text that every model understands. */
export const RASPBERRY_PI_BOOT: Uint8Array = raspberryPiMenu(BOOT_TEXT.value);

/** The same sub-options in the order dnsmasq sends them, with another menu text. */
export function raspberryPiMenu(text: string): Uint8Array {
  return encodePxe([
    { kind: 'discoveryControl', flags: NO_DISCOVERY },
    { kind: 'menuPrompt', timeoutSeconds: 0, text: 'PXE' },
    { kind: 'bootMenu', items: [{ type: 0, text }] },
  ]);
}

/** The boot item that a client asks its boot server for, in its option 43 (PXE 2.1 section 2.2); its type and layer. */
export function readBootItem(vendorSpecific: Uint8Array | undefined): Uint8Array | undefined {
  if (!vendorSpecific) return undefined;
  for (let offset = 0; offset < vendorSpecific.length; ) {
    const code = vendorSpecific[offset++] as number;
    if (code === END) return undefined;
    if (code === PAD) continue;
    const length = vendorSpecific[offset++] ?? 0;
    if (code === BOOT_ITEM && length === 4 && offset + 4 <= vendorSpecific.length)
      return vendorSpecific.subarray(offset, offset + 4);
    offset += length;
  }
  return undefined;
}
