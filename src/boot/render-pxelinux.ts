import type { Linux } from './linux.ts';

/**
 * The names that PXELINUX and U-Boot's `pxe get` ask for, in their order: the machine's UUID, its MAC behind the type of
 * its hardware, its address in hexadecimal digits, one less at each try, and the defaults, of which U-Boot has some for
 * its architecture, chip and board (U-Boot, boot/pxe_utils.c; Syslinux, "PXELINUX").
 */
const NAME =
  /^pxelinux\.cfg\/([\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}|01(?<mac>(-[\da-f]{2}){6})|(?<address>[\dA-F]{1,8})|default(-[\w.-]+)?)$/i;

/** What such a name says of the machine. */
export interface PxelinuxName {
  /** With hyphens, as in the name. */
  readonly mac?: string;
  /** All eight digits of an IPv4 address. */
  readonly address?: number;
}

/** `undefined` when the path is none of those names. */
export function parsePxelinuxName(path: string): PxelinuxName | undefined {
  const groups = NAME.exec(path)?.groups;
  if (!NAME.test(path)) return undefined;
  const { mac, address } = groups ?? {};
  return {
    ...(mac === undefined ? {} : { mac: mac.slice(1) }),
    ...(address?.length === 8 ? { address: Number.parseInt(address, 16) } : {}),
  };
}

/**
 * The node's file, whichever of its names was asked for. U-Boot puts the folder of its boot file before every path in
 * it; `folder` is for a client that has none.
 */
export function renderPxelinux({ title, kernel, initramfs, commandLine }: Linux, folder: string): string {
  const lines = [
    `# ${title}`,
    'default linux',
    'prompt 0',
    'timeout 1',
    'label linux',
    `  kernel ${folder}${kernel}`,
    ...(initramfs === undefined ? [] : [`  initrd ${folder}${initramfs}`]),
    `  append ${commandLine}`,
  ];
  return `${lines.join('\n')}\n`;
}
