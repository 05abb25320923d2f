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
