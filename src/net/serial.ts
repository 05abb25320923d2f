import type { Mac } from './mac.ts';

/**
 * A Raspberry Pi's serial number as its firmware uses it on the wire: the low 32 bits, eight lower-case
 * hexadecimal digits with leading zeros. The high word is all zeros (Pi 1-3), `10000000` (Pi 4) or
 * arbitrary (Pi 5) and never appears in a TFTP path or in DHCP option 97.
 */
export type Serial = string & { readonly __brand: 'Serial' };

const EXAMPLE = 'for example 9ffefdef, 0x9ffefdef or 100000009ffefdef';

/** A text that is no serial number, with the reason in words for a person. */
export class SerialError extends Error {
  override readonly name = 'SerialError';
}

/**
 * Accepts what a person may paste: 8 or 16 hex digits in any case, with or without `0x`, or the whole
 * `Serial : …` line of `/proc/cpuinfo`.
 * @throws SerialError naming what is wrong, with an example.
 */
export function parseSerial(text: string): Serial {
  const pasted = text.replaceAll('\0', '').trim(); // device-tree/serial-number ends in NUL
  const digits = pasted
    .replace(/^serial\s*:?\s*/i, '')
    .replace(/^0x/i, '')
    .toLowerCase();
  if (digits === '')
    throw new SerialError(`The serial number is empty. Give 8 or 16 hexadecimal digits, ${EXAMPLE}.`);
  const stranger = /[^0-9a-f]/.exec(digits);
  if (stranger) {
    const shown = JSON.stringify(stranger[0]);
    throw new SerialError(
      `"${pasted}" is not a Raspberry Pi serial number: ${shown} is not a hexadecimal digit. Give 8 or 16 digits, ${EXAMPLE}.`,
    );
  }
  if (digits.length !== 8 && digits.length !== 16) {
    throw new SerialError(
      `"${pasted}" is not a Raspberry Pi serial number: it has ${digits.length} hexadecimal digits, not 8 or 16; ${EXAMPLE}.`,
    );
  }
  const serial = digits.slice(-8);
  if (serial === '00000000') {
    throw new SerialError(
      `"${pasted}" is not a Raspberry Pi serial number: its low 32 bits are zero. Read it with: grep Serial /proc/cpuinfo`,
    );
  }
  return serial as Serial;
}

/** The serial number in a path segment or message, exactly eight lower-case hex digits; `undefined` otherwise. */
export function matchSerial(text: string): Serial | undefined {
  return /^[0-9a-f]{8}$/.test(text) ? (text as Serial) : undefined;
}

/**
 * What stands for a serial number in a machine that has none on the wire, as PCs and virtual machines: the last eight
 * digits of its MAC address. `undefined` when they are all zeros, which no serial number is.
 */
export function serialOfMac(mac: Mac): Serial | undefined {
  const digits = mac.replaceAll(':', '').slice(-8);
  return digits === '00000000' ? undefined : matchSerial(digits);
}
