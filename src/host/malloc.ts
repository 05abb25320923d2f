import { libc } from './libc.ts';

// malloc.h of the GNU C library.
const M_MMAP_THRESHOLD = -3;
const M_ARENA_MAX = -8;
/** What libuv reads a socket into, and what a file is read into to be sent. */
const READ_BYTES = 64 * 1024;
/** Free pages in the middle of the heap go back when they are asked for; that takes some milliseconds. */
const TRIM_MS = 60_000;

/**
 * Buffers of reads get pages of their own, which go back to the system when they are freed. Among small and lasting things
 * they would leave holes, so that a rack that has booted once keeps 30 MB from then on. To be called before there are threads.
 */
export function giveMemoryBack(): { stop(): void } {
  libc.mallopt(M_MMAP_THRESHOLD, READ_BYTES);
  libc.mallopt(M_ARENA_MAX, 2);
  const timer = setInterval(() => libc.malloc_trim(0), TRIM_MS).unref();
  return { stop: () => clearInterval(timer) };
}
