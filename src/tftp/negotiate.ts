/** What one transfer goes by, once the request's options are settled. */
export interface Terms {
  /** Bytes of data in every block but the last. */
  readonly blockSize: number;
  /** Blocks in flight before an ACK is needed (RFC 7440); 1 is lockstep, all that Pi firmware knows. */
  readonly windowSize: number;
  /** The first wait for an ACK. */
  readonly timeoutMs: number;
  /** The client asked for that wait, so that it is kept; else it follows the round trip. */
  readonly isTimeoutAsked?: boolean;
  /** The accepted options, for the OACK; none means that DATA 1 answers the request. */
  readonly accepted?: ReadonlyMap<string, string>;
}

const DEFAULT_BLOCK_SIZE = 512;
const DEFAULT_TIMEOUT_MS = 1000;
const MAX_TIMEOUT_S = 10;
/** A window is a burst: one that a client's socket or a switch cannot hold is lost as a whole. */
const MAX_WINDOW_BLOCKS = 64;
const MAX_WINDOW_BYTES = 128 * 1024;

/**
 * Settles the options of a read request in octet mode.
 *
 * An option that is unknown or out of its range is left out of the answer (RFC 2347), never refused, and nothing is
 * answered that was not asked: the Pi 3's ROM sends no options and expects none.
 * - `blksize` (RFC 2348, 8-65464): at most what was asked and at most `maxBlockSize`, so that a block never becomes
 *   fragments, which no Pi firmware reassembles.
 * - `tsize` (RFC 2349): always the real size. Without it start.elf since 2020-04 treats the file as missing
 *   (raspberrypi/firmware#1526, #1913).
 * - `timeout` (RFC 2349, 1-255 s): at most 10 s, or a few strangers that ask for minutes hold every transfer there is.
 *   The RFC lets a server ignore it, not change it.
 * - `windowsize` (RFC 7440, 1-65535): at most what was asked. No Pi firmware asks for it.
 */
export function negotiate(requested: ReadonlyMap<string, string>, size: number, maxBlockSize: number): Terms {
  const accepted = new Map<string, string>();

  const blksize = decimal(requested.get('blksize'), 8, 65464);
  const blockSize = blksize === undefined ? DEFAULT_BLOCK_SIZE : Math.min(blksize, maxBlockSize);
  if (blksize !== undefined) accepted.set('blksize', String(blockSize));

  if (decimal(requested.get('tsize'), 0, Number.MAX_SAFE_INTEGER) !== undefined) {
    accepted.set('tsize', String(size));
  }

  const timeout = decimal(requested.get('timeout'), 1, MAX_TIMEOUT_S);
  if (timeout !== undefined) accepted.set('timeout', String(timeout));

  const windowsize = decimal(requested.get('windowsize'), 1, 65_535);
  const room = Math.max(1, Math.min(MAX_WINDOW_BLOCKS, Math.floor(MAX_WINDOW_BYTES / blockSize)));
  const windowSize = windowsize === undefined ? 1 : Math.min(windowsize, room);
  if (windowsize !== undefined) accepted.set('windowsize', String(windowSize));

  const timeoutMs = timeout === undefined ? DEFAULT_TIMEOUT_MS : timeout * 1000;
  const terms = { blockSize, windowSize, timeoutMs, isTimeoutAsked: timeout !== undefined };
  return accepted.size === 0 ? terms : { ...terms, accepted };
}

function decimal(text: string | undefined, least: number, most: number): number | undefined {
  if (text === undefined || !/^\d{1,16}$/.test(text)) return undefined;
  const value = Number(text);
  return value >= least && value <= most ? value : undefined;
}
