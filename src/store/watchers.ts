import type { Write } from '../fleet/store.ts';

type OnWrite = (writes: readonly Write[], revision: number) => void;

/** Who wants to hear of writes below which prefix. */
export class Watchers {
  readonly #watchers = new Set<{ prefix: string; onWrite: OnWrite }>();

  add(prefix: string, onWrite: OnWrite): () => void {
    const watcher = { prefix, onWrite };
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  tell(writes: readonly Write[], revision: number): void {
    for (const { prefix, onWrite } of this.#watchers) {
      const concerned = writes.filter((write) => write.key.startsWith(prefix));
      if (concerned.length > 0) onWrite(concerned, revision);
    }
  }
}
