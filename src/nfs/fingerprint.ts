import { fnv1a } from '../net/fnv1a.ts';

/** A UUID (RFC 9562 version 8, "custom") that follows from `name` alone, so that it never changes. */
export function stableUuid(name: string): string {
  const digits = [1, 2, 3, 4].map((seed) => fnv1a(name, seed).toString(16).padStart(8, '0')).join('');
  return [
    digits.slice(0, 8),
    digits.slice(8, 12),
    `8${digits.slice(13, 16)}`,
    `a${digits.slice(17, 20)}`,
    digits.slice(20, 32),
  ].join('-');
}

/** Loop device numbers are 20 bits; we stay clear of the low ones, which `mount -o loop` hands out. */
const FIRST_LOOP = 0x1000;
const LAST_LOOP = 0xfffff;

/**
 * The loop device a generation's root is always mounted from. Ganesha (4.3, seen) writes the device number of a
 * squashfs into every NFS file handle: on whichever device happened to be free, a running Pi's handles would be stale
 * after a restart, or name another image's files.
 */
export function loopNumber(exportPath: string, attempt = 0): number {
  return FIRST_LOOP + ((fnv1a(exportPath) + attempt) % (LAST_LOOP - FIRST_LOOP + 1));
}
