import { fnv1a } from '../net/fnv1a.ts';
import { type Mac, macToBytes, parseMac } from '../net/mac.ts';
import type { Serial } from '../net/serial.ts';

export type Model = 'pi3' | 'pi4' | 'pi5';

/** The Pi 3's mask ROM: the 3B's is full of bugs nobody can mend, the 3B+'s has most of them fixed. */
export type Pi3Rom = '3b' | '3b+';

/** One Raspberry Pi, as far as the wire and its firmware can tell it from another. */
export interface Board {
  readonly model: Model;
  readonly variant: '3b' | '3b+' | '4b' | '5b';
  readonly serial: Serial;
  readonly mac: Mac;
  /** The board revision code of `/proc/cpuinfo`, e.g. 0xc03115: Pi 4B 1.5, 4 GB. */
  readonly revision: number;
  /** Date of the EEPROM's boot loader, `YYYY-MM-DD`; a Pi 3 has none. */
  readonly eepromDate: string;
  /** Pi 3 only: bootcode.bin is on its SD card, so that the mask ROM never uses the network. */
  readonly bootcodeOnCard: boolean;
}

export interface BoardChoice {
  readonly model: Model;
  readonly serial: Serial;
  readonly mac?: Mac;
  /** Pi 3 only; default `3b+`. */
  readonly rom?: Pi3Rom;
  /** Default 2025-05-08: new enough for blksize 1468, too old to count past block 65535, as most in the field. */
  readonly eepromDate?: string;
  /** Default `false`. */
  readonly bootcodeOnCard?: boolean;
}

const REVISION = { '3b': 0xa02082, '3b+': 0xa020d3, '4b': 0xc03115, '5b': 0xd04170 } as const;

export function boardOf(choice: BoardChoice): Board {
  const variant = { pi3: choice.rom ?? '3b+', pi4: '4b', pi5: '5b' } as const;
  return {
    model: choice.model,
    variant: variant[choice.model],
    serial: choice.serial,
    mac: choice.mac ?? factoryMac(choice.model, choice.serial),
    revision: REVISION[variant[choice.model]],
    eepromDate: choice.eepromDate ?? '2025-05-08',
    bootcodeOnCard: choice.bootcodeOnCard ?? false,
  };
}

/**
 * The MAC address a board of that serial number has by default. On a Pi 3 it is the maker's prefix and the low
 * 24 bits of the serial (raspberrypi/firmware#1605); later boards have no such relation, so a hash of the serial
 * stands in: the same virtual Pi always has the same address.
 */
export function factoryMac(model: Model, serial: Serial): Mac {
  if (model === 'pi3') return parseMac(`b827eb${serial.slice(2)}`) as Mac;
  const low24 = (fnv1a(serial) & 0xffffff).toString(16).padStart(6, '0');
  return parseMac(`${model === 'pi4' ? 'dca632' : '2ccf67'}${low24}`) as Mac;
}

/** DHCP option 97 of the Pi 3's bootcode.bin and fixed ROM: type 0, then the serial four times, little-endian. */
export function serialGuid(board: Board): Uint8Array {
  const serial = littleEndian(Number.parseInt(board.serial, 16));
  return Uint8Array.of(0, ...serial, ...serial, ...serial, ...serial);
}

/** Option 97 of the 3B's ROM, which cannot read the serial: the same 0x44 sixteen times on every board. */
export function constantGuid(): Uint8Array {
  return Uint8Array.of(0, ...new Uint8Array(16).fill(0x44));
}

/**
 * Option 97 of an EEPROM boot loader (DHCP_OPTION97 in eeprom-bootloader.adoc, and captures): type 0, magic, board
 * revision, the last four bytes of the MAC, serial. The magic also occurs reversed in the field (`4iPR`).
 */
export function eepromGuid(board: Board): Uint8Array {
  return Uint8Array.of(
    0,
    ...Buffer.from(board.model === 'pi5' ? 'RPi5' : 'RPi4', 'latin1'),
    ...littleEndian(board.revision),
    ...macToBytes(board.mac).subarray(2),
    ...littleEndian(Number.parseInt(board.serial, 16)),
  );
}

function littleEndian(value: number): number[] {
  return [value, value >>> 8, value >>> 16, value >>> 24].map((part) => part & 0xff);
}
