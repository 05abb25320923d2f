import { createHash, type Hash } from 'node:crypto';
import { constants, type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BootFile, BootFileSource } from '../model/boot-file.ts';
import type { BootKey } from '../model/boot-key.ts';
import type { StoredGeneration } from '../model/generation.ts';
import { stampOf } from './fat-directory.ts';
import { type Head, layoutHead, renderTail } from './fat-layout.ts';

/** What a node's `boot.img` holds: its generation's boot tree, and the two files that are the node's own. */
export interface BootImage {
  readonly generation: StoredGeneration;
  readonly config: string;
  readonly cmdline: string;
}

/** More than the published generations of a rack. */
const MOST_HEADS = 8;
const MOST_SIGNATURES = 1024;
const CHUNK = 1 << 20;
const SECTOR = 512;

/** All of an image but its tail, in a file, and the hash of it. */
interface Base {
  readonly head: Head;
  readonly handle: FileHandle;
  readonly hash: Hash;
}

interface Kept {
  readonly base: Promise<Base>;
  /** Images that are open, and one while it is kept for the next. */
  holders: number;
}

/**
 * The FAT images that Pis boot from as one file: `boot_ramdisk=1` over TFTP, and HTTP boot. What all nodes of a
 * generation have in common is written once, into a file without a name, so that nothing is left of it when the process
 * ends, however that is; what is a node's own is some sectors at the end, put there when the image is read.
 */
export class BootImages {
  readonly #folder: string;
  readonly #kept = new Map<string, Kept>();
  readonly #signatures = new Map<string, string>();
  #made = 0;

  /** @param folder to write in: as much as the boot trees of the published generations. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @throws UnfitForFat when a FAT file system cannot hold the boot tree; whatever reading and writing files throw. */
  async open(image: BootImage): Promise<{ readonly kind: 'file' } & BootFile> {
    const kept = this.#hold(image);
    try {
      const { head, handle, hash } = await kept.base;
      const tail = renderTail(head, contentsOf(image));
      const version = hash.copy().update(tail).digest('hex');
      let isOpen = true;
      const close = async () => {
        if (isOpen) this.#release(kept);
        isOpen = false;
      };
      return imageFile({ head, handle, tail, version, close });
    } catch (error) {
      this.#release(kept);
      throw error;
    }
  }

  /**
   * `boot.sig`: SHA-256, time stamp and signature, a line each (rpi-eeprom-digest). The same bytes every time.
   * @param signedAt seconds since 1970; of a newer generation never less.
   * @throws as {@link open}.
   */
  async sign(image: BootImage, key: BootKey, signedAt: number): Promise<string> {
    const kept = this.#hold(image);
    try {
      const { head, hash } = await kept.base;
      const whole = hash
        .copy()
        .update(renderTail(head, contentsOf(image)))
        .digest();
      const of = `${whole.toString('hex')} ${signedAt} ${key.fingerprint}`;
      const known = this.#signatures.get(of);
      if (known !== undefined) return known;
      const signature = Buffer.from(key.sign(whole)).toString('hex');
      const text = `${whole.toString('hex')}\nts: ${signedAt}\nrsa2048: ${signature}\n`;
      this.#signatures.set(of, text);
      if (this.#signatures.size > MOST_SIGNATURES)
        this.#signatures.delete(this.#signatures.keys().next().value as string);
      return text;
    } finally {
      this.#release(kept);
    }
  }

  /** Lets go of what is kept for the next who asks. */
  close(): void {
    for (const kept of this.#kept.values()) this.#release(kept);
    this.#kept.clear();
  }

  #hold(image: BootImage): Kept {
    const own = new Map([...contentsOf(image)].map(([name, { length }]) => [name, length]));
    // Nodes whose texts take as many sectors share all but these.
    const sectors = [...own.values()].map((length) => Math.ceil(length / SECTOR));
    const key = [image.generation.folder, ...sectors].join(' ');
    const kept = this.#kept.get(key) ?? { base: this.#write(image.generation, own), holders: 1 };
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    kept.holders += 1;
    kept.base.catch(() => {
      if (this.#kept.get(key) === kept) this.#kept.delete(key);
    });
    const [oldest = key] = this.#kept.keys();
    if (this.#kept.size > MOST_HEADS) {
      this.#release(this.#kept.get(oldest) as Kept);
      this.#kept.delete(oldest);
    }
    return kept;
  }

  #release(kept: Kept): void {
    kept.holders -= 1;
    if (kept.holders > 0) return;
    kept.base.then(({ handle }) => handle.close()).catch(() => {}); // it was written for us alone
  }

  async #write(generation: StoredGeneration, own: ReadonlyMap<string, number>): Promise<Base> {
    const head = headOf(generation, own);
    // One service has this folder; what a kill left between these two lines is taken away now.
    const name = join(this.#folder, `.boot.img.${this.#made++}`);
    await rm(name, { force: true });
    const handle = await open(name, 'wx+', 0o600);
    try {
      await rm(name);
      await handle.truncate(head.size);
      return { head, handle, hash: await fill(handle, head, generation) };
    } catch (error) {
      await handle.close();
      throw error;
    }
  }
}

function contentsOf({ config, cmdline }: BootImage): ReadonlyMap<string, Buffer> {
  return new Map([
    ['cmdline.txt', Buffer.from(cmdline)],
    ['config.txt', Buffer.from(config)],
  ]);
}

function headOf(generation: StoredGeneration, own: ReadonlyMap<string, number>): Head {
  const files = new Map(Object.entries(generation.boot.files).map(([path, { size }]) => [path, size]));
  for (const name of [...own.keys(), 'boot.img', 'boot.sig']) files.delete(name);
  const volumeId = Number.parseInt(generation.id.slice(-8), 16);
  return layoutHead(files, own, { volumeId, stamp: stampOf(new Date(generation.sealedAt)) });
}

/** Writes the pieces of the head where they belong. @returns the hash of all before the tail. */
async function fill(handle: FileHandle, head: Head, generation: StoredGeneration): Promise<Hash> {
  const hash = createHash('sha256');
  let end = 0;
  const write = async (at: number, bytes: Uint8Array): Promise<void> => {
    for (; end < at; end += Math.min(CHUNK, at - end)) hash.update(Buffer.alloc(Math.min(CHUNK, at - end)));
    hash.update(bytes);
    end += bytes.length;
    await handle.write(bytes, 0, bytes.length, at);
  };
  for (const { at, length, content } of head.pieces) {
    if (typeof content !== 'string') await write(at, content);
    else
      for await (const [offset, bytes] of sealedBytes(generation, content, length))
        await write(at + offset, bytes);
  }
  await write(head.tailAt, new Uint8Array());
  return hash;
}

/** The bytes of a sealed file, from each offset. @throws Error when it is not what was sealed. */
async function* sealedBytes(
  { folder, id }: StoredGeneration,
  path: string,
  size: number,
): AsyncGenerator<readonly [number, Uint8Array]> {
  await using handle = await open(`${folder}/boot/${path}`, constants.O_RDONLY | constants.O_NOFOLLOW);
  if ((await handle.stat()).size !== size) throw new Error(`${path} of ${id} is not what was sealed`);
  const buffer = Buffer.allocUnsafeSlow(Math.min(CHUNK, size));
  for (let offset = 0; offset < size; ) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, offset);
    if (bytesRead === 0) throw new Error(`${path} of ${id} ended early`);
    yield [offset, buffer.subarray(0, bytesRead)];
    offset += bytesRead;
  }
}

function imageFile(image: {
  readonly head: Head;
  readonly handle: FileHandle;
  readonly tail: Uint8Array;
  readonly version: string;
  readonly close: () => Promise<void>;
}): { readonly kind: 'file' } & BootFile {
  const { handle, tail, version, close } = image;
  const { size, tailAt } = image.head;
  const source: BootFileSource = {
    fd: handle.fd,
    identity: version,
    isSealed: true,
    isUnchanged: async () => true,
    patch: { at: tailAt, bytes: tail },
  };
  return {
    kind: 'file',
    size,
    version,
    source,
    async read(offset, length) {
      const bytes = Buffer.alloc(Math.max(0, Math.min(length, size - offset)));
      const ofHead = Math.min(bytes.length, Math.max(0, tailAt - offset));
      const { bytesRead } = await handle.read(bytes, 0, ofHead, offset);
      if (bytesRead !== ofHead) throw new Error('boot.img ended early');
      const from = offset + ofHead - tailAt;
      bytes.set(tail.subarray(from, from + bytes.length - ofHead), ofHead);
      return bytes;
    },
    close,
  };
}
