import type { Document, Store, Transaction, Write } from '../fleet/store.ts';
import { RevisionConflict } from '../fleet/store.ts';
import { Watchers } from './watchers.ts';

/** The Store without a disk: for tests of what stands on it, under the same conformance suite as the real one. */
export class MemoryStore implements Store {
  readonly #documents = new Map<string, Document>();
  readonly #watchers = new Watchers();
  #revision = 0;

  revision(): number {
    return this.#revision;
  }

  get(key: string): Document | undefined {
    return this.#documents.get(key);
  }

  list(prefix: string): Document[] {
    const found = [...this.#documents.values()].filter((document) => document.key.startsWith(prefix));
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  async transact(transaction: Transaction): Promise<number> {
    const conflict = transaction.ifRevisions?.find(
      ({ key, revision }) => (this.get(key)?.revision ?? 0) !== revision,
    );
    if (conflict) throw new RevisionConflict(conflict.key);
    this.#revision += 1;
    for (const write of transaction.writes) {
      if (write.kind === 'delete') this.#documents.delete(write.key);
      else {
        const value: unknown = JSON.parse(JSON.stringify(write.value)); // as a disk would give it back
        this.#documents.set(write.key, { key: write.key, value, revision: this.#revision });
      }
    }
    this.#watchers.tell(transaction.writes, this.#revision);
    return this.#revision;
  }

  watch(prefix: string, onWrite: (writes: readonly Write[], revision: number) => void): () => void {
    return this.#watchers.add(prefix, onWrite);
  }

  close(): void {}
}
