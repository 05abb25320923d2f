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
  | { readonly kind: 'menuPrompt'; readonly timeoutSeconds: number; readonly text: string };

/** Neither broadcast (1) nor multicast (2) discovery of boot servers: whoever sent the menu is the one. */
const NO_DISCOVERY = 1 | 2;
const END = 255;

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
  }
}

function encodeItem({ type, text }: BootMenuItem): number[] {
  return [type >> 8, type & 0xff, text.length, ...textBytes(text)];
}

/**
 * The menu a Raspberry Pi's firmware looks for: it matches the text as a substring and ignores the rest. The 3B's
 * mask ROM has the length wrong and needs the trailing blanks (raspberrypi/firmware#1265); every other model
 * ignores trailing characters, so all get this one.
 */
export const RASPBERRY_PI_BOOT: Uint8Array = raspberryPiMenu('Raspberry Pi Boot   ');

/** The same sub-options in the order dnsmasq sends them, with another menu text. */
export function raspberryPiMenu(text: string): Uint8Array {
  return encodePxe([
    { kind: 'discoveryControl', flags: NO_DISCOVERY },
    { kind: 'menuPrompt', timeoutSeconds: 0, text: 'PXE' },
    { kind: 'bootMenu', items: [{ type: 0, text }] },
  ]);
}
