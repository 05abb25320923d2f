import { Refusal } from '../../model/command.ts';

/** How a disk image is packed; `raw`: not at all. */
export type Compression = 'xz' | 'zst' | 'gz' | 'raw';

/** How much of a file's beginning {@link compressionOf} wants to see. */
export const HEAD_BYTES = 1024;

/** The program that unpacks, from stdin to stdout. All of them check what they read, to the end. */
export const UNPACKER: Readonly<
  Record<Exclude<Compression, 'raw'>, readonly [program: string, args: readonly string[]]>
> = {
  xz: ['xz', ['--decompress', '--stdout', '--threads=0', '--memlimit-decompress=2GiB']],
  // Images packed with --long have a window of up to 2 GiB.
  zst: ['zstd', ['--decompress', '--stdout', '--quiet', '--long=31']],
  gz: ['gzip', ['--decompress', '--stdout']],
};

const startsWith = (head: Uint8Array, ...bytes: readonly number[]): boolean =>
  bytes.every((byte, index) => head[index] === byte);

/** What people download and cannot be read as it is: first bytes, what it is, what to do. */
const STRANGERS: readonly (readonly [magic: readonly number[], what: string, remedy: string])[] = [
  [[0x50, 0x4b], 'a zip archive', 'Unpack it (unzip) and import the .img file in it'],
  [[0x42, 0x5a, 0x68], 'compressed with bzip2', 'Unpack it (bunzip2) and import the .img file'],
  [[0x37, 0x7a, 0xbc, 0xaf], 'a 7-Zip archive', 'Unpack it and import the .img file in it'],
  [[0x68, 0x73, 0x71, 0x73], 'a squashfs', 'Import the image of a whole disk, with its boot partition'],
  [[0x3c], 'a web page, perhaps of a failed download', 'Download the image again'],
];

/**
 * How a file is packed, by its first bytes: names lie. A raw disk image is known by the mark at the end of its first
 * sector, which an MBR has and a GPT's protective MBR too.
 * @param file its name, for the messages.
 * @throws Refusal for anything else.
 */
export function compressionOf(head: Uint8Array, file: string): Compression {
  if (startsWith(head, 0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00)) return 'xz';
  if (startsWith(head, 0x28, 0xb5, 0x2f, 0xfd)) return 'zst';
  if (startsWith(head, 0x1f, 0x8b)) return 'gz';
  if (head[510] === 0x55 && head[511] === 0xaa) return 'raw';
  if (head.length === 0) throw new Refusal(`${file} is empty`, 'Download it again');
  const stranger = STRANGERS.find(([magic]) => startsWith(head, ...magic));
  throw new Refusal(
    `${file} is ${stranger ? stranger[1] : 'no disk image: it has no partition table and is not compressed with xz, zstd or gzip'}`,
    stranger?.[2] ?? 'Name the .img, .img.xz, .img.zst or .img.gz of a system for the Raspberry Pi',
  );
}
