import { access, readFile, readlink } from 'node:fs/promises';
import { Refusal, type Run } from '../model/command.ts';
import type { Exporter, ExporterOptions } from './applied.ts';
import { openGanesha } from './ganesha.ts';
import { openKernel } from './kernel.ts';
import { parseMountInfo } from './mounts.ts';
import { retrying } from './retrying.ts';

export type { Exporter, ExporterOptions, ExportState } from './applied.ts';

export interface OpenExporterOptions extends ExporterOptions {
  /** `nfs.server` of the configuration. */
  readonly kind: 'auto' | 'kernel' | 'ganesha' | 'none';
}

/**
 * Opens what serves the exports here. `auto` means the kernel's nfsd where there is one, else NFS-Ganesha.
 * @throws Refusal naming the Debian packages when the wanted one, or with `auto` either, is not installed.
 */
export async function openExporter(options: OpenExporterOptions): Promise<Exporter> {
  const kind = options.kind === 'auto' ? await choose(options.run) : options.kind;
  if (kind === 'none') return { kind, async apply() {}, state: () => ({ exports: [] }), async stop() {} };
  const missing = await missingPrograms(kind);
  if (missing.length > 0) {
    throw new Refusal(
      `NFS exports by ${kind === 'kernel' ? "the kernel's nfsd" : 'NFS-Ganesha'} need ${missing.join(' and ')}`,
      `Install: apt-get install ${PACKAGES[kind]}`,
    );
  }
  return retrying(kind === 'kernel' ? openKernel(options) : openGanesha(options), options.log);
}

const PACKAGES = { kernel: 'nfs-kernel-server', ganesha: 'nfs-ganesha nfs-ganesha-vfs rpcbind' } as const;
const PROGRAMS = { kernel: ['exportfs'], ganesha: ['ganesha.nfsd', 'rpcbind'] } as const;
const FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

async function choose(run: Run): Promise<'kernel' | 'ganesha'> {
  const canKernel = (await missingPrograms('kernel')).length === 0 && (await hasNfsd(run));
  if (canKernel) return 'kernel';
  if ((await missingPrograms('ganesha')).length === 0) return 'ganesha';
  throw new Refusal(
    'No NFS server is installed',
    `Install one: apt-get install ${PACKAGES.kernel} (kernels with nfsd), or ${PACKAGES.ganesha} (containers)`,
  );
}

/** Whether the kernel's nfsd is there, or can be loaded, and serves the network namespace we are in. */
async function hasNfsd(run: Run): Promise<boolean> {
  const [ours, init] = await Promise.all(
    ['/proc/self/ns/net', '/proc/1/ns/net'].map((path) => readlink(path).catch(() => undefined)),
  );
  // nfsd runs in the namespace its threads were started in: the machine's, not one made for a rack of virtual Pis.
  if (init !== undefined && ours !== init) return false;
  const mounts = parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8'));
  if (mounts.some(({ type }) => type === 'nfsd')) return true;
  return run('modprobe', ['--dry-run', 'nfsd']).then(
    () => true,
    () => false,
  );
}

async function missingPrograms(kind: 'kernel' | 'ganesha'): Promise<string[]> {
  const found = await Promise.all(PROGRAMS[kind].map(isInstalled));
  return PROGRAMS[kind].filter((_, index) => !found[index]);
}

async function isInstalled(program: string): Promise<boolean> {
  const tries = await Promise.allSettled(FOLDERS.map((folder) => access(`${folder}/${program}`)));
  return tries.some(({ status }) => status === 'fulfilled');
}
