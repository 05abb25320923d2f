import koffi from 'koffi';
import { libc } from './libc.ts';

// Linux's numbers, the same on amd64 and arm64.
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const MAP_PRIVATE_ANONYMOUS = MAP_PRIVATE | 0x20;
const MADV_WILLNEED = 3;

/** Memory that the kernel can be pointed at. Addresses of user space fit in 47 bits, so a number holds them exactly. */
export interface NativeMemory {
  readonly address: number;
  readonly length: number;
  /** Ends it. Nobody may touch it any more: neither the kernel nor a view of it. */
  release(): void;
}

export interface WritableMemory extends NativeMemory {
  readonly buffer: ArrayBuffer;
}

/** Zeroed memory of this process. @throws Error when there is none. */
export function allocateMemory(length: number): WritableMemory {
  const pointer = map(length, PROT_READ | PROT_WRITE, MAP_PRIVATE_ANONYMOUS, -1);
  return { ...owned(pointer, length), buffer: koffi.view(pointer, Math.max(1, length)) };
}

/**
 * The pages of a file, as the page cache has them, for the kernel to read from. The descriptor may be closed
 * afterwards. A page that is gone (the file was truncated) makes a system call fail with EFAULT; only reading it from
 * here would kill the process, which is why there is no view.
 * @param patch bytes to be there in place of the file's.
 * @throws Error when it cannot be mapped.
 */
export function mapFile(
  fd: number,
  length: number,
  patch?: { readonly at: number; readonly bytes: Uint8Array },
): NativeMemory {
  const pointer = patch
    ? map(length, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd)
    : map(length, PROT_READ, MAP_SHARED, fd);
  const memory = owned(pointer, length);
  // Copy on write: what is patched is ours, all the rest stays the page cache's.
  if (patch && patch.bytes.length > 0)
    new Uint8Array(koffi.view(pointer + BigInt(patch.at), patch.bytes.length)).set(patch.bytes);
  libc.madvise(memory.address, length, MADV_WILLNEED);
  return memory;
}

function map(length: number, protection: number, flags: number, fd: number): bigint {
  const pointer = libc.mmap(null, Math.max(1, length), protection, flags, fd, 0);
  if (BigInt.asIntN(64, pointer) === -1n) throw new Error(`mmap of ${length} bytes: error ${koffi.errno()}`);
  return pointer;
}

function owned(pointer: bigint, length: number): NativeMemory {
  let isReleased = false;
  const address = Number(pointer);
  return {
    address,
    length,
    release() {
      if (isReleased) return;
      isReleased = true;
      libc.munmap(address, Math.max(1, length));
    },
  };
}
