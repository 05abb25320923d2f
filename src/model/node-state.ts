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
export type NodeState =
  | 'off'
  | 'asked'
  | 'loading'
  | 'kernel'
  | 'root mounted'
  | 'up'
  | 'unhealthy'
  | 'silent';

export interface NodeCondition {
  readonly state: NodeState;
  /** Of the change to this state. */
  readonly since: Instant;
  /** Why, in words, where the state alone does not tell: `nginx.service failed`. */
  readonly detail?: string | undefined;
  /** While it is loading: what it has got, and what its board fetches in all, where that is known. */
  readonly bytes?: number | undefined;
  readonly ofBytes?: number | undefined;
  /** Its last report, and when that came; of this run of the service. */
  readonly report?: Report | undefined;
  readonly reportedAt?: Instant | undefined;
}
