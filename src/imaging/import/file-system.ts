/** What lies in a partition, by its first bytes. */
export type FileSystem =
  | { readonly kind: 'fat' }
  /** `isClean`: false when it was copied while mounted, so that its journal would have to be replayed. */
  | { readonly kind: 'ext4'; readonly isClean: boolean }
  | { readonly kind: 'other'; readonly name: string }
  | { readonly kind: 'none' }
  | { readonly kind: 'beyond the end' };

/** How much of a partition {@link fileSystemOf} wants to see: btrfs has its superblock at 64 KiB. */
export const PROBE_BYTES = 65_536 + 4096;

/** Signatures at fixed places, as blkid knows them. */
const OTHERS: readonly (readonly [name: string, offset: number, magic: string])[] = [
  ['btrfs', 65_536 + 64, '_BHRfS_M'],
  ['f2fs', 1024, '\x10\x20\xf5\xf2'],
  ['xfs', 0, 'XFSB'],
  ['squashfs', 0, 'hsqs'],
  ['an encrypted partition (LUKS)', 0, 'LUKS\xba\xbe'],
  ['swap', 4086, 'SWAPSPACE2'],
  ['NTFS', 3, 'NTFS    '],
  ['exFAT', 3, 'EXFAT   '],
];

const EXT_SUPERBLOCK = 1024;
/** INCOMPAT_RECOVER (Linux fs/ext4/ext4.h): the journal holds what is not yet in its place. */
const NEEDS_RECOVERY = 0x4;

/** @param head the first {@link PROBE_BYTES} of the partition, or all of a smaller one. */
export function fileSystemOf(head: Buffer): FileSystem {
  const has = (offset: number, magic: string) =>
    head.subarray(offset, offset + magic.length).equals(Buffer.from(magic, 'latin1'));
  if (has(EXT_SUPERBLOCK + 0x38, '\x53\xef')) {
    return { kind: 'ext4', isClean: (head.readUInt32LE(EXT_SUPERBLOCK + 0x60) & NEEDS_RECOVERY) === 0 };
  }
  const other = OTHERS.find(([, offset, magic]) => has(offset, magic));
  if (other) return { kind: 'other', name: other[0] };
  if (has(510, '\x55\xaa') && (has(0x36, 'FAT') || has(0x52, 'FAT32'))) return { kind: 'fat' };
  return { kind: 'none' };
}
