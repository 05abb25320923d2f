/** What of an image's own boot settings holds for a node without a card, in the order it stands there. */
export interface ImportedBoot {
  readonly config: readonly string[];
  readonly cmdline: readonly string[];
}

/**
 * Lines of config.txt that say which kernel is started how: the generation's and the node's part. `arm_64bit` follows
 * from the kernel that is kept; `os_prefix` would look for it in another folder.
 */
const NOT_THEIRS =
  /^(kernel|initramfs|auto_initramfs|ramfsfile|ramfsaddr|cmdline|os_prefix|arm_64bit|boot_ramdisk|bootloader_update)\b/;

/**
 * Words of cmdline.txt that name the card's partitions (`root=PARTUUID=…`), do something to them at the first boot
 * (`init=…/firstboot`, `resize`, `systemd.run=…firstrun.sh` of the Raspberry Pi Imager), name the one machine they were
 * written for (`ds=nocloud;i=…`), or hide from the console why a node does not boot.
 */
const OF_THE_CARD =
  /^(root|rootfstype|rootflags|rootdelay|nfsroot|ip|init|fsck\.\w+|ds|cloud-init|systemd\.(run\w*|unit|hostname|machine_id))=|^plymouth\.|^(ro|rw|rootwait|resize|quiet|splash)$/;

/**
 * @param configTxt config.txt of the boot partition. Filters such as [pi4] go on to mean what they mean: what follows the
 * last line here, follows [all].
 * @param is64Bit whether the kernel that is kept is a 64-bit one.
 */
export function importBootSettings(configTxt: string, cmdlineTxt: string, is64Bit: boolean): ImportedBoot {
  const lines = configTxt
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#') && !NOT_THEIRS.test(line));
  const kept = dropEmptySections(lines);
  const lastFilter = kept.findLast((line) => line.startsWith('['))?.toLowerCase() ?? '[all]';
  const config = [
    // Without a card the kernel would look for one for ever. Before any overlay, whose parameter it would be otherwise.
    'dtparam=sd_poll_once',
    ...kept,
    ...(lastFilter === '[all]' ? [] : ['[all]']),
    `arm_64bit=${is64Bit ? 1 : 0}`,
  ];
  const cmdline = cmdlineTxt.split(/\s+/).filter((word) => word !== '' && !OF_THE_CARD.test(word));
  return { config, cmdline };
}

const isFilter = (line: string | undefined): boolean => line?.startsWith('[') ?? true;

/** Without filters that have nothing of their own. They add up until [all], so those before an other filter stay. */
function dropEmptySections(lines: readonly string[]): string[] {
  const kept: string[] = [];
  for (const line of lines) {
    if (line.toLowerCase() === '[all]') while (kept.length > 0 && isFilter(kept.at(-1))) kept.pop();
    if (line.toLowerCase() !== '[all]' || kept.length > 0) kept.push(line);
  }
  while (kept.length > 0 && isFilter(kept.at(-1))) kept.pop();
  return kept;
}
