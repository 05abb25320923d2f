import type { Linux } from './linux.ts';

/** Tries before the machine starts anew, and so asks DHCP again. With the pauses it is about two minutes. */
const TRIES = 10;
const PAUSE_SECONDS = 5;

/**
 * The node's `boot.ipxe`. Its names are relative: what is fetched comes the way the script came, by HTTP or TFTP.
 *
 * A kernel started through UEFI learns its initramfs from `initrd=` (before Linux 5.7 there is no other way, and iPXE
 * before 2021 offers none); under BIOS the word does nothing. In a script `${` begins a setting, so the command line
 * is safe only as a recipe cannot hold one.
 */
export function renderIpxe({ title, kernel, initramfs, commandLine }: Linux): string {
  const initrd = initramfs === undefined ? [] : [`initrd --name ${initramfs} ${initramfs} || goto failed`];
  const words = initramfs === undefined ? commandLine : `initrd=${initramfs} ${commandLine}`;
  return script([
    '#!ipxe',
    `echo ${title}`,
    'set try:int32 0',
    ':again',
    `kernel --name ${kernel} ${kernel} || goto failed`,
    ...initrd,
    `imgargs ${kernel} ${words}`,
    'boot || goto failed',
    ':failed',
    'imgfree',
    'inc try',
    `iseq \${try} ${TRIES} && reboot ||`,
    `echo The appliance does not serve it all; once more in ${PAUSE_SECONDS} seconds`,
    `sleep ${PAUSE_SECONDS}`,
    'goto again',
  ]);
}

const script = (lines: readonly string[]): string => `${lines.join('\n')}\n`;
