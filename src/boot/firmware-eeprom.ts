import {
  type Breakage,
  broken,
  type DhcpFirmware,
  type DhcpHabits,
  type Firmware,
  fact,
  type TftpHabits,
} from './firmware-facts.ts';
import { BOOT_TEXT, PI_ARCH, PI_CLASS, PXE_VENDOR } from './firmware-wire.ts';

const EEPROM_DOC = 'documentation/eeprom-bootloader.adoc';
const RN_PI4 = 'rpi-eeprom/firmware-2711/release-notes.md';
const RN_PI5 = 'rpi-eeprom/firmware-2712/release-notes.md';

const EEPROM_DHCP: DhcpHabits = {
  vendorClass: PI_CLASS,
  arch: PI_ARCH,
  machineId: fact('H', EEPROM_DOC, 'board'),
  parameters: fact('H', 'raspberrypi/rpi-eeprom#58', [1, 3, 43, 60, 66, 67, ...PXE_VENDOR]),
  confirms: fact('H', 'ipxe on Pi 4, boot log', true),
  resendMs: fact('H', EEPROM_DOC, 4000),
  giveUpMs: fact('H', EEPROM_DOC, 45_000),
  bootText: BOOT_TEXT,
  tftpServer: fact('M', 'raspberrypi/rpi-eeprom#687, tinkerbell/smee#23', [
    'option 66',
    'siaddr',
    'packet source',
  ]),
};

const EEPROM_TFTP: TftpHabits = {
  options: fact('H', 'raspberrypi/rpi-eeprom#74, #857', ['tsize', 'blksize']),
  blockSizes: [
    { ...fact('H', 'raspberrypi/rpi-eeprom#74', 1024), since: '2019-10-08' },
    { ...fact('H', 'raspberrypi/rpi-eeprom#857', 1468), since: '2022-11-25' },
  ],
  ports: fact('M', 'raspberrypi/rpi-eeprom#74', 'about 40000 upward, or 6970; repeats from the same one'),
  rollsOverSince: fact('H', 'raspberrypi/rpi-eeprom#720, release notes of both', '2025-09-23'),
  fileTimeoutMs: fact('H', EEPROM_DOC, 30_000),
};

const mended = (until: string, breakage: Breakage): Breakage => ({ ...breakage, until });

/** Block 65535 is the last one it can count to, and the file ends there or fails. */
const NO_ROLL_OVER = mended(
  '2025-09-23',
  broken(
    'H',
    'raspberrypi/rpi-eeprom#720, release notes of both',
    'no file of more than 65535 blocks',
    'roll over to 0, and warn of such files',
  ),
);

export const PI4_EEPROM: DhcpFirmware = {
  id: 'pi4-eeprom',
  name: 'Pi 4',
  boards: '4B, 400, CM4, CM4S',
  dhcp: EEPROM_DHCP,
  tftp: EEPROM_TFTP,
  files: fact('H', 'ipxe on Pi 4, boot log', [
    ...['start4.elf', 'config.txt', 'vl805.sig', 'pieeprom.sig', 'recover4.elf', 'recovery.elf'],
    ...['start4.elf', 'fixup4.dat'],
  ]),
  expectedMisses: fact('H', 'ipxe on Pi 4, boot log', [
    ...['vl805.sig', 'pieeprom.sig', 'recover4.elf', 'recovery.elf'],
  ]),
  breakages: [
    NO_ROLL_OVER,
    mended(
      '2019-10-16',
      broken('H', RN_PI4, 'text behind the one in option 43 is not ignored', 'none known'),
    ),
    mended(
      '2020-01-09',
      broken('H', RN_PI4, 'a menu of several items is not understood', 'a menu of one item'),
    ),
    mended(
      '2020-01-17',
      broken('H', RN_PI4, 'an option 0 (pad) is not skipped', 'no pad before the end option'),
    ),
    mended(
      '2019-12-10',
      broken(
        'H',
        'raspberrypi/rpi-eeprom#72',
        '2019-12-03 misreads option 66 whose last number has not three digits',
        'none',
      ),
    ),
    mended(
      '2020-03-04',
      broken(
        'H',
        'raspberrypi/rpi-eeprom#103',
        'option 97 is the serial four times, or has no MAC',
        'take the serial alone',
      ),
    ),
    mended(
      '2021-01-01',
      broken('H', 'raspberrypi/rpi-eeprom#82', 'no option 60 in the REQUEST', 'the address without it'),
    ),
    mended(
      '2021-03-01',
      broken('H', RN_PI4, 'a block that comes twice is not acknowledged again', 'repeat it on time-out only'),
    ),
    broken(
      'H',
      'raspberrypi/rpi-eeprom#182',
      'an option 43 without its text makes it ask for ever',
      'its text and no other menu',
    ),
    broken('M', 'tinkerbell/smee#23', 'siaddr alone is not enough', 'option 66 and the text beside it'),
    broken(
      'H',
      'raspberrypi/rpi-eeprom#480',
      'a port that learns spanning tree first costs it a minute',
      'tell of BPDUs',
    ),
  ],
};

export const START4_ELF: Firmware = {
  id: 'start4.elf',
  name: 'start4.elf',
  boards: '4B, 400, CM4, CM4S',
  tftp: {
    options: fact('H', 'raspberrypi/rpi-eeprom#375', ['tsize', 'blksize']),
    blockSizes: [
      { ...fact('H', 'raspberrypi/rpi-eeprom#375', 1024), since: '' },
      { ...fact('M', 'raspberrypi/rpi-eeprom#857', 1468), since: '2022-11-25' },
    ],
  },
  files: fact('H', 'ipxe on Pi 4, boot log', [
    ...['recovery.elf', 'config.txt', 'dt-blob.bin', 'recovery.elf', 'config.txt', 'bootcfg.txt'],
    ...['initramfs*', 'bcm2711-rpi-*.dtb', 'overlays/overlay_map.dtb', 'config.txt', 'overlays/*.dtbo'],
    ...['cmdline.txt', 'recovery8.img', 'kernel8.img', 'armstub8-gic.bin'],
  ]),
  expectedMisses: fact('H', 'ipxe on Pi 4, boot log', [
    ...['recovery.elf', 'dt-blob.bin', 'bootcfg.txt', 'recovery7l.img', 'recovery8.img', 'armstub*'],
  ]),
  breakages: [
    broken(
      'H',
      'raspberrypi/rpi-eeprom#375',
      'a file of more than 65535 blocks of 1024 bytes is cut off without a word',
      'warn of such files',
    ),
  ],
};

export const PI5_EEPROM: DhcpFirmware = {
  id: 'pi5-eeprom',
  name: 'Pi 5',
  boards: '5, 500, 500+, CM5',
  dhcp: EEPROM_DHCP,
  tftp: {
    ...EEPROM_TFTP,
    blockSizes: [{ ...fact('H', 'raspberrypi/rpi-eeprom#857', 1468), since: '' }],
  },
  files: fact('M', 'raspberrypi/rpi-eeprom#687, #826', ['config.txt', 'pieeprom.sig']),
  expectedMisses: fact('M', 'raspberrypi/rpi-eeprom#687', ['pieeprom.sig']),
  breakages: [
    NO_ROLL_OVER,
    mended('2023-10-30', broken('H', RN_PI5, 'option 97 says RPi4', 'the model from the board revision')),
    broken(
      'H',
      'raspberrypi/rpi-eeprom#687',
      'a proxy that names no server is taken to be at the address its packet came from, not at option 54',
      'siaddr and option 66, from the address that serves TFTP',
    ),
    broken(
      'H',
      'raspberrypi/rpi-eeprom#687',
      'a transfer that stops leaves it dark',
      'finish a file in 30 s',
    ),
    mended(
      '2026-09-12',
      broken('H', 'raspberrypi/rpi-eeprom#857, #881', 'signed boot over TFTP stops early', 'none'),
    ),
  ],
};

export const PI5_OS_LOADER: Firmware = {
  id: 'pi5-os-loader',
  name: 'Pi 5 (OS loader)',
  boards: '5, 500, 500+, CM5',
  tftp: PI5_EEPROM.tftp as TftpHabits,
  files: fact('M', 'raspberrypi/rpi-eeprom#687, #826', [
    ...['config.txt', 'bcm2712*.dtb', 'overlays/overlay_map.dtb', 'overlays/*.dtbo', 'cmdline.txt'],
    ...['kernel_2712.img', 'kernel8.img', 'initramfs_2712', 'armstub8-2712.bin'],
  ]),
  expectedMisses: fact('M', 'raspberrypi/rpi-eeprom#687, documentation/bootflow-eeprom.adoc', [
    ...['tryboot.txt', 'kernel_2712.img', 'initramfs_2712', 'armstub*'],
  ]),
  breakages: [
    broken('H', 'raspberrypi/rpi-eeprom#687', 'its paths have a double slash', 'one slash for many'),
  ],
};

/** BOOT_ORDER 7 and network install: another IP stack, which asks for no option 43. */
export const EEPROM_HTTP: Firmware = {
  id: 'eeprom-http',
  name: 'Pi 4 or 5 (HTTP boot)',
  boards: '4B, 400, CM4, 5, 500, CM5',
  dhcp: {
    ...EEPROM_DHCP,
    parameters: fact('L', 'WalT DHCP server', [1, 3, 6, 60, 66, 67, ...PXE_VENDOR]),
  },
  breakages: [
    broken('H', 'raspberrypi/rpi-eeprom#475', 'no redirect is followed', 'answer 200 or 404'),
    mended(
      '2025-05-01',
      broken('H', RN_PI4, 'TCP segments out of order are dropped', 'none: TCP sends them again'),
    ),
  ],
};
