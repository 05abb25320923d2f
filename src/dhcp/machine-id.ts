import { MACHINE_ID_MAGICS } from '../boot/firmware.ts';
import { asciiFromBytes } from '../net/bytes.ts';
import { matchSerial, type Serial } from '../net/serial.ts';

/** What option 97 (RFC 4578 section 2.3) tells of a machine, as Raspberry Pi firmware fills it in. */
export type MachineId =
  /** EEPROM bootloader of Pi 4 and 5: magic, board revision, end of the MAC (not always: rpi-eeprom#103), serial. */
  | {
      readonly kind: 'board';
      readonly boardRevision: number;
      /** The last four bytes of its MAC, which a setting of the EEPROM may have replaced on the wire. */
      readonly macTail?: string;
      readonly serial: Serial;
    }
  /** bootcode.bin, the 3B+ ROM, Pi 4 before 2020-03-04, or `DHCP_OPTION97=0`: the serial four times. */
  | { readonly kind: 'serial'; readonly serial: Serial }
  /** The 3B's mask ROM sends the same sixteen bytes on every board. */
  | { readonly kind: 'pi3-rom' }
  | { readonly kind: 'other' };

const MAGICS: ReadonlySet<string> = new Set(MACHINE_ID_MAGICS.value);
const LENGTH = 17;

/** Reads option 97's 17 bytes; anything of another shape, a PC's UUID included, is `other`. */
export function decodeMachineId(bytes: Uint8Array): MachineId {
  if (bytes.length !== LENGTH || bytes[0] !== 0) return { kind: 'other' };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (MAGICS.has(asciiFromBytes(bytes.subarray(1, 5)))) {
    const serial = serialFrom(view.getUint32(13, true));
    if (!serial) return { kind: 'other' };
    const tail = bytes.subarray(9, 13);
    const macTail = tail.some((byte) => byte !== 0) ? { macTail: hexPairs(tail) } : {};
    return { kind: 'board', boardRevision: view.getUint32(5, true), ...macTail, serial };
  }
  const words = [1, 5, 9, 13].map((offset) => view.getUint32(offset, true));
  const [first] = words as [number];
  if (words.some((word) => word !== first)) return { kind: 'other' };
  if (first === 0x44444444) return { kind: 'pi3-rom' };
  const serial = serialFrom(first);
  return serial ? { kind: 'serial', serial } : { kind: 'other' };
}

const hexPairs = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');

/** All zeros and all ones are what a mainboard without a UUID sends, no serial number. */
function serialFrom(value: number): Serial | undefined {
  if (value === 0 || value === 0xffffffff) return undefined;
  return matchSerial(value.toString(16).padStart(8, '0'));
}
