import type { Instant } from './lease.ts';
import type { Report } from './report.ts';

/**
 * How far a node is, by what the wire and the node itself tell.
 *
 * `off`: nothing was ever heard of it, or it said that it stops, or its power was cut.
 * `asked`: its firmware asked DHCP. `loading`: it fetches its boot files. `kernel`: it has got its kernel.
 * `root mounted`: its root is mounted; its system starts. `up`: it reports, and nothing is wrong with it.
 * `unhealthy`: it reports that something is wrong, or it should have been up long ago. `silent`: it was up, and reports no more.
 */
export const NODE_STATES = [
  'off',
  'asked',
  'loading',
  'kernel',
  'root mounted',
  'up',
  'unhealthy',
  'silent',
] as const;
export type NodeState = (typeof NODE_STATES)[number];

export interface NodeCondition {
  readonly state: NodeState;
  /** Of the change to this state. */
  readonly since: Instant;
  /** Why, in words, where the state alone does not tell: `nginx.service failed`. */
  readonly detail?: string | undefined;
  /** While it is loading, or stopped doing so: what it has got, and what its board fetches in all, where that is known. */
  readonly bytes?: number | undefined;
  readonly ofBytes?: number | undefined;
  /** It has reported in this boot. */
  readonly hasReported?: boolean | undefined;
  /** Its last report, and when that came; of this run of the service. */
  readonly report?: Report | undefined;
  readonly reportedAt?: Instant | undefined;
}

/** Nodes report every minute, and two reports may be lost: one that was not heard of for so long is silent. */
export const SILENT_MS = 150_000;

/** What is learnt of a node. All time spans are milliseconds of a clock that nobody sets. */
export type Evidence =
  /** Its firmware asked DHCP, and with that a boot begins. */
  | { readonly kind: 'asked' }
  /** It asked for the first file of a boot. */
  | { readonly kind: 'begun' }
  /** It has read a file; what it has got in this boot by now. */
  | { readonly kind: 'served'; readonly bytes: number; readonly ofBytes?: number | undefined }
  | { readonly kind: 'kernel' }
  /** By a connection to the NFS server since it has its kernel, or as it came for its identity. */
  | { readonly kind: 'mounted' }
  | {
      readonly kind: 'report';
      readonly report: Report;
      /** What it was given to boot, where that is known. */
      readonly generation?: string | undefined;
      /** What it was told to start. */
      readonly target?: string | undefined;
      /** Since it is in the state that it is in. */
      readonly sinceState: number;
    }
  | { readonly kind: 'power'; readonly power: 'cut' | 'given' }
  | {
      readonly kind: 'tick';
      /** What it runs is able to report. */
      readonly reports: boolean;
      /** Since it asked for anything. */
      readonly quiet: number;
      /** The file that it asked for last. */
      readonly lastFile?: string | undefined;
      /** Since it has its kernel. */
      readonly sinceKernel: number;
      /** Since its last report. */
      readonly sinceReport: number;
    };
