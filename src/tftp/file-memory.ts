import type { BootFile, BootFileSource } from '../model/boot-file.ts';

/** Memory of this process that the kernel can be pointed at. */
export interface FileMemory {
  readonly address: number;
  release(): void;
}

/** How files come into memory on this machine. */
export interface MemoryHost {
  /** The pages of an open file, as the page cache has them; the descriptor may be closed afterwards. */
  mapFile(fd: number, length: number, patch?: BootFileSource['patch']): FileMemory;
  allocateMemory(length: number): FileMemory & { readonly buffer: ArrayBuffer };
}

/** A file as it was opened, in memory, for as long as somebody holds it. */
export interface HeldFile {
  readonly address: number;
  readonly size: number;
  /** Its bytes here cannot change. */
  readonly isFirm: boolean;
  /** Resolves to false when the file could not be copied and was written to since. */
  isUnchanged(): Promise<boolean>;
  release(): void;
}

interface Shared {
  holders: number;
  readonly memory: Promise<FileMemory>;
  readonly file: BootFile;
  readonly isFirm: boolean;
  lastUsed: number;
}

/** Files that somebody may write to are copied up to this size; larger ones are mapped, and watched. */
const MAX_COPY_BYTES = 16 * 1024 * 1024;
/** All copies together; beyond, files are mapped. Whoever reads many must not make the service large. */
const MAX_COPIED_BYTES = 64 * 1024 * 1024;
/** Of texts made for a client too, which lie in no file: few KB each. */
const MAX_HELD_BYTES = 256 * 1024 * 1024;
const CHUNK_BYTES = 1024 * 1024;
/** A Pi reads most files twice; what was copied or mapped for the first reading is there for the second. */
const KEEP_MS = 10_000;

/** A disk or a network file system that cannot tell any more (EIO, ESTALE) has lost the file as it was. */
async function isUnchanged({ source }: BootFile): Promise<boolean> {
  return source === undefined || source.isUnchanged().catch(() => false);
}

/**
 * One copy in memory of every file that is being sent, however many want it. Sealed files are mapped: the page cache is
 * the copy. Files that may be written to while they are read, and texts made for a client, are copied when they are
 * opened, so that every transfer is finished as it was begun.
 */
export class FileMemories {
  readonly #host: MemoryHost;
  readonly #now: () => number;
  readonly #maxCopyBytes: number;
  readonly #shared = new Map<string, Shared>();
  #unnamed = 0;
  #copied = 0;

  constructor(host: MemoryHost, now: () => number, maxCopyBytes = MAX_COPY_BYTES) {
    this.#host = host;
    this.#maxCopyBytes = maxCopyBytes;
    this.#now = now;
  }

  /** How many files are in memory now. */
  get size(): number {
    return this.#shared.size;
  }

  /** Takes the file over: it is closed when nobody needs it any more. @throws Error when it cannot be read. */
  async hold(file: BootFile): Promise<HeldFile> {
    const identity = file.source?.identity ?? file.version;
    const key = identity === undefined ? `unnamed ${this.#unnamed++}` : `${identity} ${file.size}`;
    let shared = this.#shared.get(key);
    if (shared) await file.close().catch(() => {});
    else {
      shared = this.#share(file);
      this.#shared.set(key, shared);
    }
    const held = shared;
    held.holders += 1;
    try {
      const { address } = await held.memory;
      let isReleased = false;
      return {
        address,
        size: file.size,
        isFirm: held.isFirm,
        isUnchanged: async () => held.isFirm || (await isUnchanged(held.file)),
        release: () => {
          if (isReleased) return;
          isReleased = true;
          held.holders -= 1;
          held.lastUsed = this.#now();
          file.done?.();
          if (identity === undefined) this.#drop(key, held);
        },
      };
    } catch (error) {
      held.holders -= 1;
      this.#drop(key, held);
      throw error;
    }
  }

  /** Lets go of what nobody has held for a while. */
  sweep(keepMs = KEEP_MS): void {
    const before = this.#now() - keepMs;
    for (const [key, shared] of this.#shared) {
      if (shared.holders === 0 && shared.lastUsed <= before) this.#drop(key, shared);
    }
  }

  #drop(key: string, shared: Shared): void {
    if (shared.holders > 0) return;
    if (this.#shared.get(key) === shared) this.#shared.delete(key);
    void shared.memory.then(
      (memory) => memory.release(),
      () => {},
    );
    void shared.file.close().catch(() => {}); // it was only read: nothing is lost
  }

  #share(file: BootFile): Shared {
    const { source, size } = file;
    const isMapped =
      source !== undefined &&
      (source.isSealed || size > this.#maxCopyBytes || this.#copied + size > MAX_COPIED_BYTES);
    const memory = isMapped
      ? Promise.resolve().then(() => this.#host.mapFile(source.fd, size, source.patch))
      : this.#copy(file);
    return { holders: 0, memory, file, isFirm: !isMapped || source.isSealed, lastUsed: this.#now() };
  }

  async #copy(file: BootFile): Promise<FileMemory> {
    if (this.#copied + file.size > MAX_HELD_BYTES) throw new Error('too many files are held in memory');
    const memory = this.#host.allocateMemory(file.size);
    this.#copied += file.size;
    const release = () => {
      this.#copied -= file.size;
      memory.release();
    };
    try {
      const bytes = new Uint8Array(memory.buffer);
      for (let offset = 0; offset < file.size; ) {
        const wanted = Math.min(CHUNK_BYTES, file.size - offset);
        const part = await file.read(offset, wanted);
        if (part.length !== wanted) throw new Error('the file is shorter than when it was opened');
        bytes.set(part, offset);
        offset += part.length;
      }
      if (file.source && !(await file.source.isUnchanged())) {
        throw new Error('the file was written to while it was opened');
      }
      return { address: memory.address, release };
    } catch (error) {
      release();
      throw error;
    }
  }
}
