import { rootExportPath } from '../model/boot-view.ts';
import type { Generation } from '../model/generation.ts';
import type { Network } from '../model/network.ts';
import type { Node } from '../model/node.ts';
import { NODE_WORDS } from '../model/node-words.ts';
import { machineIdOf } from './machine-id.ts';

/**
 * A sealed root never changes, so attributes are kept and no open asks again (nfs(5)); klibc's nfsmount takes these
 * words as well. A virtual Pi needs a quarter less CPU time to its page with them.
 */
const SEALED = 'nocto,acregmin=600,acregmax=3600,acdirmin=600,acdirmax=3600';

/**
 * The node's `cmdline.txt`: one line, byte-stable.
 *
 * With an initramfs the root is mounted by klibc's nfsmount, which knows versions 2 and 3 and loops forever on `proto=`
 * (raspberrypi/bookworm-feedback#93, #267); a kernel without an initramfs needs a version to be named
 * (raspberrypi/linux#2187).
 */
export function renderCmdlineTxt(
  node: Node,
  generation: Generation,
  network: Network,
  exportsFolder: string,
  bootWords: readonly string[] = [],
): string {
  const target = node.role === undefined ? undefined : generation.roles[node.role]?.target;
  const words = [
    ...generation.boot.cmdline.flatMap((word) => word.split(/\s+/)).filter((word) => !NODE_WORDS.test(word)),
    'root=/dev/nfs',
    `nfsroot=${network.address}:${rootExportPath(exportsFolder, generation.id)},vers=3,${SEALED}`,
    'ro',
    'ip=dhcp',
    'rootwait',
    `systemd.hostname=${node.name}`,
    `systemd.machine_id=${machineIdOf(node.serial)}`,
    ...(target === undefined ? [] : [`systemd.unit=${target}`]),
    ...bootWords,
  ];
  return `${words.filter((word) => word !== '').join(' ')}\n`;
}
