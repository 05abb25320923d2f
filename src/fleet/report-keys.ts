import { createHash, randomBytes } from 'node:crypto';
import type { Instant } from '../model/lease.ts';
import type { IdentityRequest } from '../model/report.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import type { Serial } from '../net/serial.ts';
import { putForNode } from './node-documents.ts';
import type { Store, Write } from './store.ts';

const keyOf = (serial: Serial): string => `report-key/${serial}`;
const KEY_BYTES = 32;

interface ReportKey {
  /** The boot that it is for. */
  readonly since: Instant;
  /** SHA-256 of the nonce that it was given to. */
  readonly nonce: string;
  readonly key: string;
  /** The address that the boot's token was for. */
  readonly from?: Ipv4;
}

/** What is known of a request beside what stands in it. */
interface Circumstances {
  readonly from: Ipv4;
  /** Whether it is the boot that began at this moment that the node began last, as far as that is known without a clock. */
  readonly isLastBoot: (since: Instant) => boolean;
  readonly now: Instant;
}

/** That boot's token was redeemed with another nonce, or a later boot's was. */
export class Redeemed extends Error {
  override readonly name = 'Redeemed';
}

/** The key that each node signs its reports with: a new one for each boot, given once. */
export class ReportKeys {
  readonly #store: Store;
  readonly #current = new Map<Serial, ReportKey>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Of the boot that the node redeemed last. */
  current(serial: Serial): string | undefined {
    return this.#known(serial)?.key;
  }

  /** The address that the token of this boot was for, when that was redeemed. */
  from(serial: Serial, since: Instant): Ipv4 | undefined {
    const known = this.#known(serial);
    return known?.since === since ? known.from : undefined;
  }

  /**
   * The key for this boot, and that it was given to this nonce, on the disk. An answer may get lost: the same nonce gets
   * the same key again.
   * @throws Redeemed when another nonce got it, or the node has booted again since; Refusal when the node is gone.
   */
  async redeem(request: IdentityRequest, { from, isLastBoot, now }: Circumstances): Promise<string> {
    const { serial, since, nonce } = request;
    const hash = createHash('sha256').update(nonce).digest('hex');
    // Written again also where it is there: it may be shown and not yet be on the disk.
    const redeemed = await putForNode(this.#store, serial, keyOf(serial), (value) => {
      const present = value as ReportKey | undefined;
      if (present?.since === since && present.nonce === hash) return present;
      if (present?.since === since) throw new Redeemed();
      // The clock may have been set between two boots, as of an appliance without one that is behind until it finds its time
      // server. A boot in the future is of a clock that was wrong: it says nothing of what came later.
      const isLater = present && present.since > since && present.since <= now;
      if (present && !isLastBoot(since) && (isLater || isLastBoot(present.since))) throw new Redeemed();
      return { since, nonce: hash, key: randomBytes(KEY_BYTES).toString('hex'), from };
    });
    if (this.#store.get(keyOf(serial))) this.#current.set(serial, redeemed); // else it went with the node meanwhile
    return redeemed.key;
  }

  /** What goes with the node, in the same transaction; {@link forget} follows. */
  removal(serial: Serial): readonly Write[] {
    return [{ kind: 'delete', key: keyOf(serial) }];
  }

  forget(serial: Serial): void {
    this.#current.delete(serial);
  }

  #known(serial: Serial): ReportKey | undefined {
    const known =
      this.#current.get(serial) ?? (this.#store.get(keyOf(serial))?.value as ReportKey | undefined);
    if (known) this.#current.set(serial, known);
    return known;
  }
}
