import type { Ipv4 } from '../net/ipv4.ts';
import type { Serial } from '../net/serial.ts';
import type { Instant } from './lease.ts';
import type { NodeFile } from './node-file.ts';

/** What a node tells of itself. Nothing in it is believed without its MAC, and nothing is decided by the node's clock. */
export interface Report {
  /** Of the root that it runs on, as its command line says. */
  readonly generation: string;
  /** `readonly`, `overlay`, `private`: how the root is mounted. */
  readonly root: string;
  /** Seconds since its kernel started. */
  readonly uptime: number;
  /** Seconds since 1970 by its own clock: 0 and a few where no clock was ever set. */
  readonly clock: number;
  /** `systemctl is-system-running`; `stopping` when it goes down in order. */
  readonly state: 'initializing' | 'starting' | 'running' | 'degraded' | 'maintenance' | 'stopping';
  /** Names of failed units. */
  readonly failed: readonly string[];
  /** The target that it was told to start, when that is active. */
  readonly target?: string | undefined;
  /** Bytes. */
  readonly memory?: { readonly total: number; readonly available: number } | undefined;
  /** Degrees Celsius; absent where there is no sensor. */
  readonly temperature?: number | undefined;
  /** The bits of the Raspberry Pi firmware (`get_throttled`); absent elsewhere. */
  readonly throttled?: number | undefined;
  /** Bytes of its private disk. */
  readonly disk?: { readonly total: number; readonly available: number } | undefined;
}

/** What a node is told to do. */
export type Order = { readonly kind: 'reboot' } | { readonly kind: 'isolate'; readonly target: string };

/** An order that was given: a node says by `id` that it has taken it. */
export interface GivenOrder {
  readonly id: string;
  readonly order: Order;
}

/** Where a request came from, and whether it was made by somebody who knows this key. */
export interface Sender {
  readonly address: Ipv4;
  /** Of TCP. Below 1024 it was root who asked, on any machine that we believe to be that node. */
  readonly port: number;
  isSignedWith(key: string): boolean;
}

/** What a node asks with, once in a boot, for all that makes it this node. */
export interface IdentityRequest {
  readonly serial: Serial;
  /** When its boot began by the appliance's clock: its token says so. */
  readonly since: Instant;
  /** 32 hex digits of its own making. With the same ones it may ask again, as an answer can get lost. */
  readonly nonce: string;
}

/** An SSH host key: the private half as OpenSSH's file has it, the public one as its line. */
export interface HostKey {
  readonly privateKey: string;
  readonly publicKey: string;
}

/** All that makes a node this node, for one boot. */
export interface NodeIdentity {
  /** 64 hex digits: what it signs its reports with until it boots again. */
  readonly reportKey: string;
  /** Of the service that it reports to. */
  readonly run: string;
  readonly hostKey: HostKey;
  readonly files: readonly NodeFile[];
  /** Where its block file is to be mounted. */
  readonly block?: string | undefined;
}

/** A report as it is sent. */
export interface ReportMessage {
  readonly serial: Serial;
  /** Of the service that it believes to report to, and the count of its reports to that one, from 1. */
  readonly run: string;
  readonly seq: number;
  /** How long it waits for an order. */
  readonly waitSeconds: number;
  readonly report: Report;
  /** The order that it has taken. */
  readonly done?: string | undefined;
}

interface Refused {
  readonly kind: 'refused';
  /** One line, for the node's journal. */
  readonly reason: string;
}

/** `key`: what the answer is signed with. */
export type IdentityOutcome =
  | { readonly kind: 'given'; readonly key: string; readonly identity: NodeIdentity }
  | Refused;

export type ReportOutcome =
  | {
      readonly kind: 'taken';
      readonly key: string;
      readonly run: string;
      readonly given?: GivenOrder | undefined;
      /** Whether the answer reached the node, as far as its connection tells. */
      readonly onSent?: ((isWhole: boolean) => void) | undefined;
    }
  /** It is of another run of the service, or not newer than the last: it is to be sent again, counted on from `seq`. */
  | { readonly kind: 'again'; readonly key: string; readonly run: string; readonly seq: number }
  | Refused;
