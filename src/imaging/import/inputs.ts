import { join } from 'node:path';
import type { StepInput } from '../plan/step.ts';

/** What every node has of its own and how it keeps its network is one set of files, in the recipe all images start from. */
const BASE = join(import.meta.dirname, '../../../images/base/rootfs');
const SHARED = [
  'etc/nfsmount.conf',
  'etc/systemd/journald.conf.d/netboot.conf',
  'etc/systemd/network/10-root.network',
  'etc/systemd/system/netboot-node.service',
  'etc/systemd/system/netboot-report.service',
  'etc/systemd/system/reboot.target.d/netboot.conf',
  'usr/lib/netboot/Appliance.pm',
  'usr/lib/netboot/Identity.pm',
  'usr/lib/netboot/Place.pm',
  'usr/lib/netboot/Sha256.pm',
  'usr/lib/netboot/node.pl',
  'usr/lib/netboot/report.pl',
];

const OWN = join(import.meta.dirname, 'rootfs');
const OF_IMPORTS = ['etc/ssh/sshd_config.d/netboot.conf', 'etc/systemd/system/netboot-homes.service'];

/** `rootfs/…` of the step that adapts an imported root. */
export function adaptInputs(): readonly StepInput[] {
  const from =
    (folder: string) =>
    (path: string): StepInput => ({
      path: `rootfs/${path}`,
      content: { kind: 'file', file: join(folder, path) },
    });
  return [...SHARED.map(from(BASE)), ...OF_IMPORTS.map(from(OWN))];
}
