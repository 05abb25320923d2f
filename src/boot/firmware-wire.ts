import { type Fact, fact, type PiModel } from './firmware-facts.ts';

/**
 * The text every Pi looks for in option 43, as a substring; what follows is ignored, except by the 3B's mask ROM,
 * which has the length wrong and needs the blanks.
 */
export const BOOT_TEXT = fact(
  'H',
  'documentation/boot-net.adoc, raspberrypi/firmware#1265',
  'Raspberry Pi Boot   ',
);

/** Both byte orders are in the field; a Pi 5 said "RPi4" before 2023-10-30, so the revision tells the model. */
export const MACHINE_ID_MAGICS = fact(
  'H',
  'documentation/eeprom-bootloader.adoc, rpi-eeprom/firmware-2712/release-notes.md 2023-10-30, cmprovision/dnsmasq.conf',
  ['RPi4', '4iPR', 'RPi5', '5iPR'] as const,
);

/** 0 is "x86 BIOS", and what every native Pi says over IPv4, for good; 41 is rpiboot; early builds may leave it out. */
export const PI_ARCHS = fact<ReadonlyArray<number | undefined>>(
  'H',
  'raspberrypi/rpi-eeprom#182, raspberrypi/firmware#1928',
  [undefined, 0, 41],
);

/**
 * The makers' prefixes of on-board Ethernet and the model they mostly mean. A hint only: such lists go stale
 * (raspberrypi/piserver#76, #166) and an EEPROM may set any MAC, so option 97 goes first.
 */
export const OUI_HINTS: ReadonlyMap<string, Fact<PiModel>> = new Map<string, Fact<PiModel>>([
  ['b8:27:eb', fact('H', 'raspberrypi/piserver src', 'pi3')],
  ['dc:a6:32', fact('H', 'raspberrypi/piserver src', 'pi4')],
  ['e4:5f:01', fact('H', 'raspberrypi/piserver src', 'pi4')],
  ['d8:3a:dd', fact('H', 'raspberrypi/piserver#166', 'pi4')],
  ['2c:cf:67', fact('H', 'raspberrypi/piserver#166', 'pi5')],
  ['28:cd:c1', fact('M', 'tinkerbell/smee internal/dhcp', 'pi4')],
  ['3a:35:41', fact('M', 'IEEE CID of Raspberry Pi', 'pi4')],
  ['88:a2:9e', fact('L', 'unsourced: compare the list of the IEEE', 'pi5')],
]);

/** What every native Pi sends as option 60 and 93, and the private codes of its option 55. */
export const PI_CLASS = fact('H', 'documentation/boot-net.adoc', 'PXEClient:Arch:00000:UNDI:002001');
export const PI_ARCH = fact('H', 'raspberrypi/rpi-eeprom#182', 0);
export const PXE_VENDOR: readonly number[] = [128, 129, 130, 131, 132, 133, 134, 135];

/**
 * A Pi 1 to 3 has this prefix and the low 24 bits of its serial number as its MAC; the highest 8 bits are told by
 * option 97 alone, and Pi 4 and 5 have MACs of no such meaning.
 */
export const SERIAL_TAIL_OUI = fact('H', 'raspberrypi/firmware#1605, raspberrypi/piserver#125', 'b8:27:eb');

/** The transaction id of every Pi 3 firmware, on every board. */
export const PI3_XID = fact('H', 'documentation/boot-net.adoc', 0x26f30339);
