import type { EngineLimits } from './engine-port.ts';

export interface TftpLimits {
  /** Requests that are being answered, the small and the waiting included. */
  readonly transfers: number;
  readonly transfersPerClient: number;
  /** From the request to the last ACK; no transfer lives longer. */
  readonly transferMs: number;
  /** Of all engines together: large files that are sent at full speed, while others wait. */
  readonly slots: number;
  /** Files up to this many bytes never wait. */
  readonly smallBytes: number;
}

export const DEFAULT_LIMITS: TftpLimits = {
  transfers: 4096,
  transfersPerClient: 128,
  transferMs: 15 * 60_000,
  slots: 96,
  smallBytes: 64 * 1024,
};

/** The slots are shared out among the engines. */
export function engineLimits(limits: TftpLimits, workers: number): EngineLimits {
  const slots = Math.max(1, Math.ceil(limits.slots / workers));
  return { slots, smallBytes: limits.smallBytes, transfers: limits.transfers };
}
