/**
 * The Store port: a small revisioned document store. SQLite stands behind it on one appliance; a cluster (etcd)
 * is to stand behind the same port when two appliances share the work, so nothing of SQL shows here.
 */

/** A JSON value under a key like `node/9ffefdef`. */
export interface Document {
  readonly key: string;
  readonly value: unknown;
  /** The store's revision when this value was written. */
  readonly revision: number;
}

export type Write =
  | { readonly kind: 'put'; readonly key: string; readonly value: unknown }
  | { readonly kind: 'delete'; readonly key: string };

/** A transaction: if every key still has the revision given (0 = absent), all writes happen, else none. */
export interface Transaction {
  readonly ifRevisions?: ReadonlyArray<{ readonly key: string; readonly revision: number }>;
  readonly writes: readonly Write[];
}

/** A condition of a transaction no longer holds: somebody else wrote that key. Read again and decide again. */
export class RevisionConflict extends Error {
  override readonly name = 'RevisionConflict';
  constructor(key: string) {
    super(`"${key}" was changed meanwhile`);
  }
}

export interface Store {
  /** Of the newest transaction; 0 before the first. */
  revision(): number;
  get(key: string): Document | undefined;
  /** Every document whose key starts with `prefix`, in key order. */
  list(prefix: string): Document[];
  /**
   * Resolves with the new revision once the writes are durable: they survive `kill -9` and power loss.
   * Transactions issued together may share one commit.
   * @throws RevisionConflict: then nothing was written. Or the storage's error (disk full, a failed flush): then nobody
   * knows, whatever is shown, until a later transaction resolves; that makes durable what is shown of this one, too.
   */
  transact(transaction: Transaction): Promise<number>;
  /** Calls back after each commit with what was written. Returns the way to stop it. */
  watch(prefix: string, onWrite: (writes: readonly Write[], revision: number) => void): () => void;
  close(): void;
}
