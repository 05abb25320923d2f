import { basename } from 'node:path';
import type { ImportedBoot } from './boot-settings.ts';
import type { SystemFacts } from './look-inside.ts';

/** What the initramfs is made of (steps/initramfs.sh): of each line one. Raspberry Pi OS has them since Bookworm. */
const NEEDED = [['busybox-static', 'busybox'], ['klibc-utils']] as const;

/** Needed packages that the image lacks: the build installs them, from the archives that the image itself names. */
export function missingPackages({ packages }: Pick<SystemFacts, 'packages'>): string[] {
  return NEEDED.filter((choices) => !choices.some((name) => packages.has(name))).map(([first]) => first);
}

/** `image.yaml` of an imported image, for a person to go on with. */
export function renderRecipe(
  file: string,
  sha256: string,
  facts: Pick<SystemFacts, 'arch' | 'release' | 'packages'>,
  boot: ImportedBoot,
): string {
  const missing = missingPackages(facts);
  const list = (items: readonly string[]) =>
    items.length === 0 ? ' []' : items.map((item) => `\n    - ${JSON.stringify(item)}`).join('');
  return `# ${facts.release}, imported by "netboot import-image". The build copies both of its partitions and undoes what belongs to
# a card: its lines in fstab, swap, growing at the first boot, first-boot questions, and whatever a machine has of its own
# (SSH host keys, machine-id, cloud-init). This file is yours from here on; "netboot build-image" takes up what you change.
# Better still, leave it as it is and say in a recipe of your own:  base: {from: <this image>}
description: ${JSON.stringify(`${facts.release}, from ${basename(file)}`)}
base:
  # Read again only when the layers made of it are no longer in the cache.
  image: ${JSON.stringify(file)}
  sha256: ${sha256}
  arch: ${facts.arch}
${
  missing.length === 0
    ? ''
    : `
# The image has not got these, and the initramfs that finds the NFS root is made of them.
packages: [${missing.join(', ')}]
`
}
# Raspberry Pi OS starts no SSH server by itself, and asks for a user at its first boot, which does not happen here:
#units: {enable: [ssh.service]}
#users: [{name: ops, groups: [sudo], keys: ["ssh-ed25519 …"]}]

boot:
  # The image's config.txt, without what names a kernel: that is the generation's. [pi4] and the like mean what they mean there.
  config:${list(boot.config)}
  # The image's cmdline.txt, without what names its card. Root, address and name are added for each node.
  cmdline:${list(boot.cmdline)}
`;
}
