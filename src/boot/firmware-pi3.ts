import { broken, type DhcpFirmware, type DhcpHabits, type Firmware, fact } from './firmware-facts.ts';
import { BOOT_TEXT, PI_ARCH, PI_CLASS, PI3_XID, PXE_VENDOR } from './firmware-wire.ts';

const BOOT_NET = 'documentation/boot-net.adoc';
/** A Pi 3 uses an offered address without a word; with slow switches a whole boot takes minutes. */
const NEVER_CONFIRMS = fact('H', 'documentation/boot-net.adoc, raspberrypi/firmware#1699', false);
const NEEDS_BROADCAST = fact('M', 'raspberrypi/firmware#764, #862, #894, #1124', true as const);
const NO_CHECKSUM = fact('H', 'documentation/boot-net.adoc, TechnitiumSoftware/DnsServer#183', true as const);
const HOLDS_FRAMES = fact('M', 'raspberrypi/firmware#764, #862, #894, #1124', true as const);
const RX_FLUSH = broken(
  'M',
  'raspberrypi/firmware#764, #862, #894, #1124',
  'a received frame may be held back until another one arrives',
  'answer by broadcast, and send another frame after it',
);
const LEGACY_PORTS = fact('H', BOOT_NET, 'from 49153 upward');
const LEGACY_512 = { ...fact('H', 'raspberrypi/firmware#1041', 512), since: '' };

export const PI3B_ROM: DhcpFirmware = {
  id: 'pi3b-rom',
  name: 'Pi 3 (boot ROM)',
  boards: '2B v1.2, 3B, CM3',
  dhcp: {
    vendorClass: PI_CLASS,
    arch: PI_ARCH,
    machineId: fact('H', 'documentation/boot-net.adoc, raspberrypi/firmware#1362', 'constant'),
    parameters: fact('H', BOOT_NET, [43, 60, 67, ...PXE_VENDOR, 66]),
    xid: PI3_XID,
    confirms: NEVER_CONFIRMS,
    noChecksum: NO_CHECKSUM,
    resendMs: fact('H', BOOT_NET, 5000),
    giveUpMs: fact('H', BOOT_NET, 25_000),
    delayMs: fact('H', 'raspberrypi/firmware#934, #859', { full: 1000, proxy: 1500 }),
    needsBroadcast: NEEDS_BROADCAST,
    holdsFrames: HOLDS_FRAMES,
    bootText: BOOT_TEXT,
    tftpServer: fact('M', 'raspberrypi/firmware#801, #871', ['packet source']),
  },
  tftp: {
    options: fact('H', BOOT_NET, []),
    blockSizes: [LEGACY_512],
    ports: fact('H', BOOT_NET, '49152, then 49153'),
  },
  files: fact('H', 'documentation/boot-net.adoc, raspberrypi/firmware#1370', ['bootcode.bin', 'bootsig.bin']),
  expectedMisses: fact('H', BOOT_NET, ['bootsig.bin']),
  breakages: [
    broken('H', BOOT_NET, 'five tries in 25 s, then dead until the power is cut', 'answer each try anew'),
    broken(
      'H',
      'raspberrypi/firmware#934, #859',
      'answers within about two seconds lock it up in a loop',
      'hold the OFFER back',
    ),
    broken('H', BOOT_NET, 'option 43 is matched with a wrong length', 'three blanks behind the text'),
    broken('H', BOOT_NET, 'a reply that passed a relay (hops 1) is not understood', 'hops 0 in every reply'),
    broken(
      'H',
      BOOT_NET,
      'no TFTP server outside its subnet',
      'be on its subnet, and the sender of the OFFER',
    ),
    broken('H', BOOT_NET, 'no answer to ARP during a transfer', 'a neighbour entry made from chaddr'),
    RX_FLUSH,
    broken(
      'H',
      'raspberrypi/firmware#1370',
      'option 67 and file are ignored',
      'have bootcode.bin without a prefix',
    ),
  ],
};

const PI3_DHCP: DhcpHabits = {
  vendorClass: PI_CLASS,
  arch: PI_ARCH,
  machineId: fact('H', 'documentation/boot-net.adoc, raspberrypi/firmware#1605', 'serial'),
  parameters: fact('H', BOOT_NET, [43, 60, 67, ...PXE_VENDOR, 66, 1, 3]),
  xid: PI3_XID,
  confirms: NEVER_CONFIRMS,
  noChecksum: NO_CHECKSUM,
  resendMs: fact('M', 'raspberrypi/firmware#941, #1124', 5000),
  giveUpMs: fact('M', 'raspberrypi/firmware#941, #1124', 60_000),
  needsBroadcast: NEEDS_BROADCAST,
  holdsFrames: HOLDS_FRAMES,
  bootText: BOOT_TEXT,
  tftpServer: fact('M', 'raspberrypi/firmware#1699, #871', ['option 66', 'siaddr', 'packet source']),
};

export const PI3B_PLUS_ROM: DhcpFirmware = {
  ...PI3B_ROM,
  id: 'pi3b+-rom',
  name: 'Pi 3B+ (boot ROM)',
  boards: '3B+, CM3+',
  dhcp: PI3_DHCP,
  breakages: [RX_FLUSH],
};

export const BOOTCODE: DhcpFirmware = {
  id: 'bootcode.bin',
  name: 'bootcode.bin',
  boards: 'Pi 1 to 3',
  dhcp: PI3_DHCP,
  tftp: {
    options: fact('H', 'raspberrypi/firmware#1041', ['tsize']),
    blockSizes: [LEGACY_512],
    ports: LEGACY_PORTS,
  },
  files: fact('H', 'PexMor/raspi-netboot, raspberrypi/firmware#754, #935', [
    'start.elf',
    'autoboot.txt',
    'config.txt',
    'recovery.elf',
    'start.elf',
    'fixup.dat',
  ]),
  expectedMisses: fact('H', 'PexMor/raspi-netboot', ['autoboot.txt', 'recovery.elf']),
  breakages: [
    RX_FLUSH,
    broken('M', 'raspberrypi/firmware#958', 'some builds hang on a LAN9512', 'another bootcode.bin'),
    broken(
      'H',
      'raspberrypi/firmware#1041',
      'without fixup.dat it starts with 128 MB of memory',
      'repeat what is lost, and say at once what is missing',
    ),
  ],
};

export const START_ELF: Firmware = {
  id: 'start.elf',
  name: 'start.elf',
  boards: 'Pi 1 to 3',
  tftp: {
    options: fact('H', 'raspberrypi/firmware#1041', ['tsize']),
    blockSizes: [LEGACY_512],
    ports: LEGACY_PORTS,
  },
  files: fact('H', 'PexMor/raspi-netboot', [
    ...['recovery.elf', 'config.txt', 'dt-blob.bin', 'recovery.elf', 'config.txt', 'bootcfg.txt'],
    ...['bcm27*.dtb', 'overlays/overlay_map.dtb', 'config.txt', 'overlays/*.dtbo', 'cmdline.txt'],
    ...['recovery8.img', 'kernel8.img', 'armstub8.bin', 'kernel8.img'],
  ]),
  expectedMisses: fact('H', 'PexMor/raspi-netboot', [
    ...['recovery.elf', 'dt-blob.bin', 'bootcfg.txt', 'recovery.img', 'recovery7.img', 'recovery8.img'],
    ...['armstub*', 'kernel8-32.img'],
  ]),
  breakages: [
    broken(
      'H',
      'raspberrypi/firmware#1913, #1526',
      'since 2020-04-16 an answer without tsize counts as a missing file ("File read: -2")',
      'answer tsize with an OACK',
    ),
    broken(
      'H',
      'raspberrypi/firmware#1292',
      'silence for kernel7.img makes it load kernel.img',
      'ERROR 1 at once for what is missing',
    ),
    broken(
      'H',
      'raspberrypi/firmware#1700',
      'the same file is asked for up to four times at once',
      'a transfer for each port',
    ),
  ],
};
