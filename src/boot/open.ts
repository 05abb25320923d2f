import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { constants, type FileHandle, open, readlink, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { BootFile, BootFileSource, Missing, OpenBootFile } from '../model/boot-file.ts';
import type { BootKey } from '../model/boot-key.ts';
import type { BootPin, PinBoot } from '../model/boot-pin.ts';
import type { BootView } from '../model/boot-view.ts';
import { Refusal } from '../model/command.ts';
import type { StoredGeneration } from '../model/generation.ts';
import type { Log } from '../model/log.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import type { Mac } from '../net/mac.ts';
import { type BootImage, BootImages } from './boot-img.ts';
import { UnfitForFat } from './fat-names.ts';
import { type Found, lookup, type TreeClient } from './tree.ts';

export interface OpenBootFileOptions {
  /** The snapshot of this moment. */
  readonly view: () => BootView;
  /** Keeps a node that boots at one generation; without it every file is of the one published now. */
  readonly pin?: PinBoot;
  /** The neighbour table's answer; asked only for an unprefixed name from an address that is no node's. */
  readonly macOf: (address: Ipv4) => Promise<Mac | undefined> | Mac | undefined;
  /** `tftp.root` of the configuration: plain files for clients that are no nodes. */
  readonly plainRoot?: string | undefined;
  readonly log: Log;
  /** Where boot images are written; the folder for temporary files unless told. */
  readonly scratchFolder?: string;
  /** What boot.sig is signed with; without it there is none. */
  readonly signing?: {
    readonly key: () => Promise<BootKey | undefined>;
    /** When it was published, in seconds since 1970; of a generation published later never less. */
    readonly signedAt: (generation: StoredGeneration) => number;
  };
}

type Opened = Awaited<ReturnType<OpenBootFile>>;

/** What a request means, and the boot that it belongs to. */
interface LookedUp {
  readonly found: Found;
  readonly boot?: { readonly pin: BootPin; readonly name: string } | undefined;
}

// Without O_NONBLOCK, opening a FIFO somebody left there would wait for its writer.
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Opens what {@link lookup} finds. It never rejects: what cannot be opened is missing, and what ought to have been
 * there (a sealed file gone, no descriptors left, a failing disk) is also logged as an error.
 */
export function createOpenBootFile(options: OpenBootFileOptions): OpenBootFile {
  const { view, pin, macOf, plainRoot, log, signing } = options;
  const images = new BootImages(options.scratchFolder ?? tmpdir());

  /** One snapshot and one generation for the whole answer, whatever is published meanwhile. */
  function lookUp(client: TreeClient, requested: string): LookedUp {
    if (!pin) return { found: lookup(view(), client, requested) };
    let boot: LookedUp['boot'];
    const found = lookup(view(), client, requested, (node, name) => {
      const pinned = pin(node, name, client.address);
      boot = pinned && { pin: pinned, name };
      return pinned;
    });
    return { found, boot };
  }

  async function find(client: TreeClient, requested: string): Promise<LookedUp> {
    let looked = lookUp(client, requested);
    if (looked.found.kind === 'plain' || (looked.found.kind === 'static' && looked.found.isGuess)) {
      const mac = await macOf(client.address);
      if (mac) looked = lookUp({ ...client, mac }, requested);
    }
    await looked.boot?.pin.stored;
    return looked;
  }

  async function openFound(found: Found): Promise<Opened> {
    switch (found.kind) {
      case 'missing':
        return found;
      case 'generated':
        return bufferFile(Buffer.from(found.text));
      case 'generated image':
        return bufferFile(Buffer.from(found.bytes));
      case 'boot.img':
        return images.open(found.image);
      case 'boot.sig':
        return openSignature(found.image);
      case 'static':
        return openSealed(found.file, found.size, found.sha256);
      case 'plain':
        return plainRoot === undefined ? missing(`no file ${found.path}`) : openPlain(plainRoot, found.path);
    }
  }

  async function openSignature(image: BootImage): Promise<Opened> {
    const key = await signing?.key();
    if (!signing || !key) return missing('there is no key to sign boot.img with: make it with netboot keys');
    return bufferFile(Buffer.from(await images.sign(image, key, signing.signedAt(image.generation))));
  }

  return async (client, requested) => {
    try {
      const { found, boot } = await find(client, requested);
      const opened = await openFound(found);
      return boot && opened.kind === 'file' ? toldWhenServed(opened, boot) : opened;
    } catch (error) {
      const fields = { id: 'BOOT_FILE_UNREADABLE', path: requested, client: client.address, err: error };
      if (error instanceof UnfitForFat) {
        log.warn({ ...fields, id: 'BOOT_IMG_UNFIT' }, 'a boot tree does not fit a boot.img');
        return missing(`boot.img cannot hold ${error.message}`);
      }
      log.error(fields, 'a boot file cannot be read');
      if (error instanceof Refusal) return missing(error.message);
      if (codeOf(error) === 'ENOENT')
        return missing('the appliance cannot read this file: it is gone from its disk, see netboot status');
      return missing(`the appliance cannot read this file: ${codeOf(error) ?? 'see its log'}`);
    }
  };
}

/** @throws Error when the file is not what was sealed. */
async function openSealed(file: string, size: number, version: string): Promise<Opened> {
  const handle = await open(file, FLAGS);
  try {
    const stat = await handle.stat({ bigint: true });
    if (!stat.isFile() || Number(stat.size) !== size) {
      throw new Error(`${file} is not the file of ${size} bytes that was sealed`);
    }
    return { ...handleFile(handle, size), version, source: sourceOf(handle, stat, true) };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * A regular file below `root`. Symbolic links may lead anywhere within the root and nowhere else: the resolved path
 * is checked before it is opened, so that nothing outside is even touched, and what was opened is checked again,
 * since a folder of the path may have been replaced by a link in between.
 */
async function openPlain(root: string, relative: string): Promise<Opened> {
  let handle: FileHandle | undefined;
  try {
    const realRoot = await realpath(root);
    const resolved = await realpath(path.join(realRoot, relative));
    if (!isBelow(realRoot, resolved)) return missing(`${relative} leads out of the tree`);
    handle = await open(resolved, FLAGS);
    const stat = await handle.stat({ bigint: true });
    const isConfined = isBelow(realRoot, await readlink(`/proc/self/fd/${handle.fd}`));
    // As other TFTP servers have it: what is not for everybody on this machine is not for everybody on the wire.
    if (stat.isFile() && isConfined && (Number(stat.mode) & 0o004) === 0) {
      await handle.close();
      return missing(`${relative} is not readable for everyone: chmod o+r`);
    }
    if (stat.isFile() && isConfined) {
      return { ...handleFile(handle, Number(stat.size)), source: sourceOf(handle, stat, false) };
    }
    await handle.close();
    return missing(`${relative} is no file of the tree`);
  } catch (error) {
    await handle?.close();
    const isAbsent = ['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'ENXIO'].includes(codeOf(error) ?? '');
    if (isAbsent) return missing(`no file ${relative}`);
    throw error;
  }
}

function isBelow(root: string, file: string): boolean {
  return file.startsWith(root.endsWith('/') ? root : `${root}/`);
}

function handleFile(handle: FileHandle, size: number): { kind: 'file' } & BootFile {
  return {
    kind: 'file',
    size,
    async read(offset, length) {
      const wanted = Math.max(0, Math.min(length, size - offset));
      const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafeSlow(wanted), 0, wanted, offset);
      return buffer.subarray(0, bytesRead);
    },
    close: () => handle.close(),
  };
}

function sourceOf(handle: FileHandle, stat: BigIntStats, isSealed: boolean): BootFileSource {
  const identity = identityOf(stat);
  return {
    fd: handle.fd,
    identity,
    isSealed,
    isUnchanged: async () => identityOf(await handle.stat({ bigint: true })) === identity,
  };
}

function identityOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
}

function bufferFile(bytes: Buffer): { kind: 'file' } & BootFile {
  return {
    kind: 'file',
    size: bytes.length,
    version: createHash('sha256').update(bytes).digest('hex'),
    read: async (offset, length) => bytes.subarray(offset, offset + length),
    close: async () => {},
  };
}

/** A file that firmware only looked at ends as one that it has read: the boot is told the same of both. */
function toldWhenServed(
  file: Extract<Opened, { kind: 'file' }>,
  { pin, name }: NonNullable<LookedUp['boot']>,
): Opened {
  if (!pin.onServed) return file;
  return { ...file, done: () => pin.onServed?.(name, file.size) };
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}

function missing(reason: string): Missing {
  return { kind: 'missing', reason };
}
