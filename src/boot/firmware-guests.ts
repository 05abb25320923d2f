import { type Firmware, fact } from './firmware-facts.ts';

// Not the Pi's own firmware: what runs behind it, or on other machines.

const IPCONFIG = 'linux net/ipv4/ipconfig.c';
const NO_MENU = fact('H', 'bootimus#118, raspberrypi/rpi-eeprom#182', true as const);
const CONFIRMS = fact('H', 'RFC 2131 section 3.1', true);

/** The kernel's `ip=dhcp`, and every system behind it: an address, and nothing of booting. */
export const LINUX: Firmware = {
  id: 'linux',
  name: 'Linux (ip=dhcp)',
  boards: 'all',
  dhcp: {
    parameters: fact('M', IPCONFIG, [1, 3, 6, 12, 15, 17, 26, 40, 42]),
    confirms: fact('H', IPCONFIG, true),
    resendMs: fact('M', IPCONFIG, 2000),
  },
  breakages: [
    {
      ...fact('H', IPCONFIG, 'it never renews its lease'),
      remedy: 'keep a node its address when the lease has ended',
    },
  ],
};

/** UEFI, on a Pi or another machine: a native Pi's MAC and a Pi's serial do not make it one. */
export const EDK2: Firmware = {
  id: 'edk2',
  name: 'UEFI (PXE)',
  boards: 'Pi 3 to 5 with UEFI, arm64 and x86 machines',
  dhcp: {
    vendorClass: fact('H', 'ipxe on Pi 4, boot log', 'PXEClient:Arch:00011:UNDI:003000'),
    arch: fact('H', 'ipxe on Pi 4, boot log', 11),
    machineId: fact('H', 'ipxe on Pi 4, boot log', 'uuid'),
    parameters: fact('M', 'edk2 NetworkPkg/UefiPxeBcDxe', [
      ...[1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60, 66, 67],
      ...[97, 128, 129, 130, 131, 132, 133, 134, 135],
    ]),
    confirms: CONFIRMS,
    resendMs: fact('M', 'edk2 NetworkPkg/UefiPxeBcDxe', 4000),
    needsBroadcast: fact('H', 'ipxe on Pi 4, boot log', true as const),
    tftpServer: fact('M', 'worproject/rpi5-uefi#22', ['siaddr']),
    needsFile: fact('H', 'PXE 2.1', true as const),
    asks4011: fact('H', 'dnsmasq src/rfc2131.c', true as const),
    forbidsMenu: NO_MENU,
  },
  tftp: {
    options: fact('H', 'seen: EDK2 2022.11 of Debian 12 in QEMU', ['tsize', 'blksize', 'windowsize']),
    blockSizes: [{ ...fact('H', 'seen: EDK2 2022.11 of Debian 12 in QEMU', 1468), since: '' }],
  },
  breakages: [],
};

export const EDK2_HTTP: Firmware = {
  id: 'edk2-http',
  name: 'UEFI (HTTP boot)',
  boards: EDK2.boards,
  dhcp: {
    vendorClass: fact('H', 'UEFI 2.10 section 24.7', 'HTTPClient:Arch:00019:UNDI:003000'),
    arch: fact('H', 'IANA processor architecture types', 19),
    machineId: fact('M', 'edk2 NetworkPkg/HttpBootDxe', 'uuid'),
    parameters: fact('M', 'edk2 NetworkPkg/HttpBootDxe', [1, 3, 6, 12, 15, 43, 54, 60, 67, 93, 94, 97]),
    confirms: CONFIRMS,
    resendMs: fact('M', 'edk2 NetworkPkg/HttpBootDxe', 4000),
    needsFile: fact('H', 'UEFI 2.10 section 24.7', true as const),
    forbidsMenu: NO_MENU,
  },
  breakages: [],
};

export const U_BOOT: Firmware = {
  id: 'u-boot',
  name: 'U-Boot',
  boards: 'all, as kernel=u-boot.bin',
  dhcp: {
    vendorClass: fact('H', 'u-boot net/bootp.c', 'U-Boot.armv8'),
    arch: fact('M', 'u-boot net/bootp.c', 22),
    parameters: fact('H', 'u-boot net/bootp.c', [1, 3, 6, 12, 17, 28]),
    confirms: CONFIRMS,
    resendMs: fact('H', 'u-boot net/bootp.c', 2000),
    giveUpMs: fact('H', 'u-boot net/bootp.c', 28_000),
    tftpServer: fact('H', 'u-boot net/bootp.c', ['siaddr']),
    needsFile: fact('H', 'u-boot net/bootp.c', true as const),
    forbidsMenu: NO_MENU,
  },
  tftp: {
    options: fact('H', 'u-boot net/tftp.c', ['timeout', 'tsize', 'blksize', 'windowsize']),
    blockSizes: [{ ...fact('H', 'u-boot net/tftp.c', 1468), since: '' }],
    rollsOverSince: fact('H', 'u-boot net/tftp.c', '2010-01-01'),
  },
  breakages: [
    {
      ...fact(
        'H',
        'seen: U-Boot 2023.01 of Debian 12 in QEMU',
        'it asks as UEFI, without a UUID, when its script is missing; iPXE hangs in it, and a proxy’s offer is its address',
      ),
      remedy: 'nothing for UEFI on arm64 that has no option 97; a kernel that boot.scr.uimg can start',
    },
  ],
};

export const IPXE: Firmware = {
  id: 'ipxe',
  name: 'iPXE',
  boards: 'UEFI and x86 machines',
  dhcp: {
    vendorClass: fact('H', 'ipxe src/net/udp/dhcp.c', 'PXEClient:Arch:00011:UNDI:003010'),
    arch: fact('H', 'ipxe src/net/udp/dhcp.c', 11),
    userClass: fact('H', 'ipxe.org/cfg/user-class', 'iPXE'),
    machineId: fact('H', 'ipxe src/net/udp/dhcp.c', 'uuid'),
    parameters: fact('M', 'ipxe src/net/udp/dhcp.c', [
      ...[1, 3, 6, 7, 12, 15, 17, 26, 43, 60, 66, 67, 119, 128, 129, 130, 131, 132, 133, 134, 135, 175, 203],
    ]),
    confirms: CONFIRMS,
    resendMs: fact('M', 'ipxe src/config/dhcp.h', 1000),
    tftpServer: fact('H', 'ipxe src/net/udp/dhcp.c', ['siaddr']),
    needsFile: fact('H', 'ipxe.org/howto/chainloading', true as const),
    forbidsMenu: NO_MENU,
  },
  expectedMisses: fact('H', 'seen: iPXE 1.21 of Debian 13 in QEMU', ['autoexec.ipxe']),
  breakages: [
    {
      ...fact('H', 'ipxe.org/howto/chainloading', 'given its own program again it loads itself for ever'),
      remedy: 'a script, once its user class says iPXE',
    },
  ],
};
