import type { Terms } from './negotiate.ts';

/**
 * What the service and its engines say to each other. An engine runs in a thread of its own, where it waits in system
 * calls; orders reach it through a message port and a descriptor that wakes it.
 */
export type EngineOrder =
  /** The transfer sockets of an interface: more than one, so that a client port's next transfer has another TID. */
  | { readonly kind: 'sockets'; readonly group: number; readonly fds: readonly number[] }
  | { readonly kind: 'close'; readonly group: number }
  | StartOrder
  /** The client sent its request again. */
  | { readonly kind: 'restart'; readonly id: number }
  /** Ends a transfer: without a word, or with an ERROR. */
  | { readonly kind: 'end'; readonly id: number; readonly tell?: string }
  | { readonly kind: 'stop' };

export interface StartOrder {
  readonly kind: 'start';
  readonly id: number;
  readonly group: number;
  /** The 32 bits of a sockaddr. */
  readonly address: number;
  readonly port: number;
  readonly terms: Terms;
  /** Where the file lies in the memory of this process, until the engine has told that the transfer is over. */
  readonly file: number;
  readonly size: number;
}

export type EngineReport =
  | { readonly kind: 'over'; readonly id: number; readonly outcome: Outcome }
  /** The client has answered for the first time: it is there, and it is who it says. */
  | { readonly kind: 'answered'; readonly id: number }
  /** No transfer uses these sockets any more. */
  | { readonly kind: 'closed'; readonly group: number };

export type Outcome =
  | { readonly kind: 'completed' | 'unconfirmed' | 'early-terminated' | 'ended' }
  | { readonly kind: 'timeout' | 'failed'; readonly reason: string };

export interface EngineLimits {
  /** Transfers of this engine that send at full speed. */
  readonly slots: number;
  /** Files up to this many bytes need no slot: whoever starts one is done before it would get its turn. */
  readonly smallBytes: number;
  /** Transfers known to the engine. */
  readonly transfers: number;
}

/** What an engine tells about itself, by its place in shared memory that only it writes. */
export const gauge = {
  /** In its own clock; one that stands still belongs to an engine that hangs. */
  heartbeat: 0,
  transfers: 1,
  running: 2,
  waiting: 3,
  longestWaitMs: 4,
  /** Of file data, retransmissions included. */
  bytes: 5,
  retransmissions: 6,
  strangers: 7,
  malformed: 8,
  /** Datagrams the kernel did not take. */
  unsent: 9,
} as const;
export const GAUGES = 16;

/** What `new Worker` hands an engine. */
export interface EngineSetup {
  readonly wakeFd: number;
  /** {@link GAUGES} numbers of 64 bits. */
  readonly gauges: SharedArrayBuffer;
  /** Counts the orders, so that the engine sees without a system call that there are new ones. */
  readonly orders: SharedArrayBuffer;
  readonly limits: EngineLimits;
}
