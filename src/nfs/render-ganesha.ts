import { fnv1a } from '../net/fnv1a.ts';
import { type Export, fsidOf, isWritable } from './export.ts';
import { stableUuid } from './fingerprint.ts';

export const NFS_PORT = 2049;
/** Fixed so that a firewall can name it, and so that we can ask mountd what it exports without asking rpcbind. */
export const MOUNT_PORT = 20048;

/**
 * Export ids by path. The id is part of every NFS file handle, so an export keeps the one it was `remembered` under;
 * a new one gets the id its path hashes to, hence usually the same on every machine, or the next free one.
 */
export function assignExportIds(
  paths: readonly string[],
  remembered: ReadonlyMap<string, number>,
): Map<string, number> {
  const ids = new Map(remembered);
  const taken = new Set(ids.values());
  for (const path of paths) {
    if (ids.has(path)) continue;
    // 0 is the root of the NFSv4 pseudo file system.
    let id = 1 + (fnv1a(path) % 65535);
    while (taken.has(id)) id = (id % 65535) + 1;
    ids.set(path, id);
    taken.add(id);
  }
  return ids;
}

/**
 * The whole ganesha.conf. `recoveryFolder` is where Ganesha remembers its NFSv4 clients.
 *
 * No NLM: `lockd` and `statd` are not needed for a read-only root (mounted with nolock) nor to read web pages.
 * Graceless: no lock outlives a restart, so nobody has to wait for its recovery and a running Pi goes on at once.
 * Loopback sees names and nothing else: mountd lists to a client only what it may mount, and we ask it (mount-client).
 * Numeric owners: without an id mapper's domain, NFSv4 would show every owner as nobody.
 *
 * Io_Flusher: Ganesha 6.5 (Debian 13) ends where it lacks CAP_SYS_RESOURCE for that, which matters only to machines that
 * write to their own exports. 4.3 (Debian 12) takes no notice of the line.
 *
 * Disable_ACL: an overlay that a node lays over its root copies a file up with all its attributes, and gives up where
 * there is an ACL to be read that it cannot write to its own disk, as NFS 4 shows one for every file.
 *
 * Dir_Chunk: no names are kept, only attributes. With Attr_Expiration_Time = 0, which the web content has, 6.5 never
 * notices that a folder changed (mdcache_getattrs) and goes on giving the file that a page has replaced. For a whole
 * export there is no such key; on a sealed root it costs 0.1 s of CPU in the listing of 7500 files (both, measured).
 */
export function renderGanesha(
  exports: readonly Export[],
  ids: ReadonlyMap<string, number>,
  recoveryFolder: string,
): string {
  return `# Written by netboot; changes made here are lost.
NFS_CORE_PARAM {
  Protocols = 3, 4;
  NFS_Port = ${NFS_PORT};
  MNT_Port = ${MOUNT_PORT};
  Enable_NLM = false;
  Enable_RQUOTA = false;
  Enable_UDP = false;
  Allow_Set_Io_Flusher_Fail = true;
}
NFSV4 {
  Graceless = true;
  Lease_Lifetime = 10;
  Only_Numeric_Owners = true;
  RecoveryRoot = "${recoveryFolder}";
}
MDCACHE { Dir_Chunk = 0; }
${exports
  .filter((entry) => entry.clients.length > 0)
  .map((entry) => renderExport(entry, ids))
  .join('')}`;
}

function renderExport(entry: Export, ids: ReadonlyMap<string, number>): string {
  const id = ids.get(entry.path);
  if (id === undefined) throw new Error(`no export id was assigned to ${entry.path}`);
  const squash = entry.options.includes('no_root_squash') ? 'No_Root_Squash' : 'Root_Squash';
  return `EXPORT {
  Export_Id = ${id};
  Path = "${entry.path}";
  Pseudo = "${entry.path}";
  Protocols = 3, 4;
  Transports = TCP;
  Disable_ACL = true;
  SecType = sys;
  Squash = ${squash};
  Filesystem_Id = ${filesystemId(fsidOf(entry) ?? stableUuid(entry.path))};
  Access_Type = None;${isWritable(entry) ? renderWritable(entry) : ''}
  FSAL { Name = VFS; }
  CLIENT { Clients = 127.0.0.1; Access_Type = MDONLY_RO; Squash = All_Squash; }
  CLIENT { Clients = ${entry.clients.join(', ')}; Access_Type = ${isWritable(entry) ? 'RW' : 'RO'}; }
}
`;
}

/**
 * A folder people edit on the appliance itself: Ganesha would go on showing what it read up to 60 s ago, as nothing
 * tells it (Attr_Expiration_Time). `sync` of exports(5): a write is answered when it is on the disk (NFS_Commit). A node's
 * own disk is written by a kernel that sends COMMIT when its file system needs that, and knows how to wait for it: with
 * NFS_Commit each of its writes would wait for the disk.
 */
function renderWritable(entry: Export): string {
  return `
  Attr_Expiration_Time = 0;
  NFS_Commit = ${entry.area === undefined && entry.options.includes('sync')};`;
}

/** A UUID as Ganesha's `major.minor`, two unsigned 64-bit numbers. */
function filesystemId(uuid: string): string {
  const digits = uuid.replaceAll('-', '').padStart(32, '0');
  return `${BigInt(`0x${digits.slice(0, 16)}`)}.${BigInt(`0x${digits.slice(16, 32)}`)}`;
}
