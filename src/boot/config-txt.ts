import type { Generation } from '../model/generation.ts';
import type { Node } from '../model/node.ts';

/**
 * The node's `config.txt`, or the one inside its `boot.img`. Nothing in it depends on time: the firmware reads it up
 * to seven times in one boot and has to find the same bytes each time.
 */
export function renderConfigTxt(
  node: Node,
  generation: Generation,
  place: 'tree' | 'boot.img' = 'tree',
): string {
  const { config, kernel, initramfs } = generation.boot;
  const lines = [
    `# ${node.name} (${node.serial}), generation ${generation.id}`,
    ...config,
    // The image's lines may end within a filter such as [pi4]; what follows holds for every model.
    '[all]',
    `kernel=${kernel}`,
    ...(initramfs === undefined ? [] : [`initramfs ${initramfs} followkernel`]),
    // A boot tree shared by many Pis must not flash their EEPROMs: without this line an OS-side rpi-eeprom file
    // in the tree would be taken for an update.
    'bootloader_update=0',
    // The firmware fetches boot.img and reads everything, another config.txt first, from that.
    ...(node.ramdisk && place === 'tree' ? ['boot_ramdisk=1'] : []),
  ];
  return `${lines.join('\n')}\n`;
}
