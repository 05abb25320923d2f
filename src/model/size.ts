import { z } from 'zod';

const FACTOR = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 } as const;

/** An amount of memory or disk as people write it, kept as they wrote it: `512M`, `4G`. */
export const sizeSchema = z.string().regex(/^[1-9]\d{0,8}[KMGT]$/, 'write a size as 512M or 4G');

/** In bytes. */
export function bytesOfSize(size: string): number {
  return Number.parseInt(size, 10) * FACTOR[size.at(-1) as keyof typeof FACTOR];
}

/** Of a disk of a node: from a file system that is worth its journal up to what ext4 takes with blocks of 4 KiB. */
const [LEAST_DISK, MOST_DISK] = ['16M', '16T'];
export const DISK_SIZES = `${LEAST_DISK} to ${MOST_DISK}`;

export const isDiskSize = (bytes: number): boolean =>
  Number.isSafeInteger(bytes) && bytes >= bytesOfSize(LEAST_DISK) && bytes <= bytesOfSize(MOST_DISK);
