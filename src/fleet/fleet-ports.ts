import type { StoredGeneration } from '../model/generation.ts';
import type { Log } from '../model/log.ts';
import type { Exporter } from '../nfs/applied.ts';
import type { AddressesPorts } from './addresses.ts';
import type { FetchedBytes } from './boot-payload.ts';
import type { MakeHostKey } from './identities.ts';
import type { CheckGeneration } from './publishing.ts';
import type { Store } from './store.ts';

/** What the fleet needs of the machine it runs on; the daemon gives it. */
export interface FleetPorts {
  readonly store: Store;
  readonly exporter: Exporter;
  readonly readGenerations: () => Promise<{ generations: StoredGeneration[]; problems: string[] }>;
  /** Names of the images that have a recipe, built or not. */
  readonly recipeNames: () => Promise<string[]>;
  /** What a recipe's image is built for, as far as it tells. */
  readonly recipeArch?: (image: string) => Promise<string | undefined>;
  /** Without it, generations are taken to be as they were sealed. */
  readonly checkGeneration?: CheckGeneration;
  /** Without it, nobody knows how much a boot fetches in all. */
  readonly fetchedBytes?: FetchedBytes;
  /** Without it, a node without a lease of ours or a reserved address is nowhere. */
  readonly neighbourMac?: AddressesPorts['neighbourMac'];
  /** Without it, no node gets an identity. */
  readonly makeHostKey?: MakeHostKey;
  readonly log: Log;
}
