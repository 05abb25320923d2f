import { readFileSync } from 'node:fs';
import { libc } from './libc.ts';
import { cleanMappings } from './program-pages.ts';

// malloc.h of the GNU C library.
const M_MMAP_THRESHOLD = -3;
const M_ARENA_MAX = -8;
/** What libuv reads a socket into, and what a file is read into to be sent. */
const READ_BYTES = 64 * 1024;
// mman.h of Linux.
const MADV_DONTNEED = 4;
/** Free pages in the middle of the heap go back when they are asked for; that takes some milliseconds. */
const TRIM_MS = 60_000;
/** Takes a fraction of a millisecond, and as much again to find the pages that are in use. */
const DROP_MS = 10_000;

/**
 * Buffers of reads get pages of their own, which go back to the system when they are freed. Among small and lasting things
 * they would leave holes, so that a rack that has booted once keeps 30 MB from then on. To be called before there are threads.
 */
export function giveMemoryBack(): { now(): void; stop(): void } {
  libc.mallopt(M_MMAP_THRESHOLD, READ_BYTES);
  libc.mallopt(M_ARENA_MAX, 2);
  const trim = () => libc.malloc_trim(0);
  const drop = programPageDropper();
  const timers = [setInterval(trim, TRIM_MS).unref(), setInterval(drop, DROP_MS).unref()];
  return {
    now: () => {
      trim();
      drop();
    },
    stop: () => timers.forEach(clearInterval),
  };
}

/**
 * Most of Node's own code and tables runs once, at the start, and 50 MB of it stay mapped. What is still needed is found in the
 * file's cache again, sixteen pages at a time. Its mappings are made by the loader, for good.
 */
function programPageDropper(): () => void {
  const mappings = cleanMappings(readFileSync('/proc/self/smaps', 'latin1'), process.execPath);
  return () => {
    for (const { address, length } of mappings) libc.madvise(address, length, MADV_DONTNEED);
  };
}
