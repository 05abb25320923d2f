import { crc32 } from '../net/crc32.ts';
import type { Linux } from './linux.ts';

const MAGIC = 0x27051956;
const HEADER_BYTES = 64;
const NAME_BYTES = 32;
const [OS_LINUX, ARCH_ARM64, TYPE_SCRIPT, UNCOMPRESSED] = [5, 22, 6, 0];

/**
 * The node's `boot.scr.uimg`, which U-Boot's distro boot fetches and runs after DHCP.
 * @param prefix of the node's tree: U-Boot's `tftpboot` knows no folder of its own.
 */
export function renderBootScr({ title, kernel, initramfs, commandLine }: Linux, prefix: string): Uint8Array {
  const loadInitramfs = initramfs === undefined ? [] : [`tftpboot $ramdisk_addr_r ${prefix}${initramfs}`];
  const ramdisk = initramfs === undefined ? '-' : '$ramdisk_addr_r:$filesize';
  const load = [`tftpboot $kernel_addr_r ${prefix}${kernel}`, ...loadInitramfs];
  const lines = [
    `echo ${title}`,
    `setenv bootargs '${commandLine}'`,
    // The board's firmware may have left a device tree (Raspberry Pi); otherwise U-Boot's own.
    'setenv netboot_fdt $fdtcontroladdr',
    'test -n "$fdt_addr" && setenv netboot_fdt $fdt_addr',
    [...load, `booti $kernel_addr_r ${ramdisk} $netboot_fdt`].join(' && '),
  ];
  return scriptImage(`${lines.join('\n')}\n`);
}

/**
 * U-Boot's legacy image of type "script": a header with two checksums, of itself and of the data, then the length of the
 * script, a zero that ends the list of lengths, and the script (U-Boot, include/image.h). The time is left zero, so
 * that the same script is the same bytes.
 */
export function scriptImage(script: string): Uint8Array {
  const text = new TextEncoder().encode(script);
  const image = new Uint8Array(HEADER_BYTES + 8 + text.length);
  const view = new DataView(image.buffer);
  const data = image.subarray(HEADER_BYTES);
  view.setUint32(HEADER_BYTES, text.length);
  data.set(text, 8);

  view.setUint32(0, MAGIC);
  view.setUint32(12, data.length);
  view.setUint32(24, crc32(data));
  image.set([OS_LINUX, ARCH_ARM64, TYPE_SCRIPT, UNCOMPRESSED], 28);
  image.set(new TextEncoder().encode('netboot').subarray(0, NAME_BYTES), 32);
  view.setUint32(4, crc32(image.subarray(0, HEADER_BYTES))); // counted with its own field zero
  return image;
}
