import { transferLimit } from '../boot/firmware.ts';

const DEFAULT_BLOCK_SIZE = 512;

/**
 * What a person should know of a file that is longer than the firmware which asks for such blocks can count: some stop,
 * start4.elf cuts it off without a word.
 * @param blockSize of the answer: on a small MTU fewer bytes than were asked for
 */
export function longFileWarning(
  size: number,
  asked: string | undefined,
  blockSize: number,
): string | undefined {
  const askedSize = Number(asked ?? DEFAULT_BLOCK_SIZE);
  const limit = transferLimit(askedSize);
  if (!limit || size <= (limit.value * blockSize) / askedSize) return undefined;
  const who = limit.mendedBy ? `${limit.firmware} before ${limit.mendedBy}` : limit.firmware;
  return `${who} cannot load this file: it is longer than 65535 blocks of ${blockSize} bytes`;
}
