import { rootExportPath } from '../model/boot-view.ts';
import type { Generation } from '../model/generation.ts';
import type { Network } from '../model/network.ts';
import type { Node } from '../model/node.ts';
import { NODE_WORDS } from '../model/node-words.ts';
import { privateExportPath, type SettledRoot, settleRoot } from '../model/root-mode.ts';
import { machineIdOf } from './machine-id.ts';

/**
 * A sealed root never changes, so attributes are kept and no open asks again (nfs(5)); klibc's nfsmount takes these
 * words as well. A virtual Pi needs a quarter less CPU time to its page with them.
 */
const SEALED = 'nocto,acregmin=600,acregmax=3600,acdirmin=600,acdirmax=3600';

/** Not 4.2: its READ_PLUS gives an input/output error for every file with NFS-Ganesha 4.3 (Debian 12), and nodes need none of it. */
const VERSIONS = { 3: '3', 4: '4.1' } as const;

/**
 * The node's `cmdline.txt`: one line, byte-stable.
 *
 * With an initramfs the root is mounted by klibc's nfsmount, which knows versions 2 and 3 and loops forever on `proto=`
 * (raspberrypi/bookworm-feedback#93, #267); a kernel without an initramfs needs a version to be named
 * (raspberrypi/linux#2187). NFS 4 our own initramfs has the kernel mount.
 * @param bootWords those of this boot alone.
 */
export function renderCmdlineTxt(
  node: Node,
  generation: Generation,
  network: Network,
  exportsFolder: string,
  bootWords: readonly string[] = [],
): string {
  const root = settleRoot(node, generation.node);
  const own = generation.boot.cmdline
    .flatMap((word) => word.split(/\s+/))
    .filter((word) => !NODE_WORDS.test(word));
  const target = node.role === undefined ? undefined : generation.roles[node.role]?.target;
  const words = [
    ...own,
    'root=/dev/nfs',
    `nfsroot=${network.address}:${rootExportPath(exportsFolder, generation.id)},vers=${VERSIONS[root.nfs]},${SEALED}`,
    'ro',
    'ip=dhcp',
    'rootwait',
    `systemd.hostname=${node.name}`,
    `systemd.machine_id=${machineIdOf(node.serial)}`,
    ...(target === undefined ? [] : [`systemd.unit=${target}`]),
    ...rootWords(root, node, exportsFolder),
    // A node that panics tries again, which its appliance counts, instead of standing still.
    ...(own.some((word) => word.startsWith('panic=')) ? [] : ['panic=10']),
    ...bootWords,
  ];
  return `${words.filter((word) => word !== '').join(' ')}\n`;
}

/** What our initramfs reads (imaging/initramfs/init), and the NFS client of the kernel. */
function rootWords({ root, memory, nfs }: SettledRoot, { serial }: Node, exportsFolder: string): string[] {
  return [
    // A root that can be written to looks to systemd as if it had just been updated: half a minute on a Pi for what its build did.
    ...(root === 'readonly' ? [] : [`netboot.root=${root}`, 'systemd.condition_needs_update=no']),
    ...(root === 'overlay' ? [`netboot.memory=${memory}`] : []),
    ...(root === 'private' ? [`netboot.private=${privateExportPath(exportsFolder, serial)}`] : []),
    // A server of NFS 4 takes two clients of one name for one that has rebooted; no node has a name yet when it mounts its root.
    ...(nfs === 4 ? [`nfs.nfs4_unique_id=${machineIdOf(serial)}`] : []),
  ];
}
