import { Refusal } from '../model/command.ts';
import type { Serial } from '../net/serial.ts';
import { nodeKey } from './roster.ts';
import { RevisionConflict, type Store } from './store.ts';

/** A node that changes more often than this while a line is written is not a node, but a fault. */
const MOST_ATTEMPTS = 20;

/**
 * Puts a document that goes with its node, made of what is there now, durably. Who removes the node meanwhile takes it
 * away, too: nothing is left for the next node of that serial number.
 * @throws Refusal when there is no such node any more; and what `make` throws, to leave it as it is.
 */
export async function putForNode<T>(
  store: Store,
  serial: Serial,
  key: string,
  make: (present: unknown) => T,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const node = store.get(nodeKey(serial));
    if (!node) throw new Refusal(`There is no node ${serial} any more`, 'See "netboot nodes".');
    const present = store.get(key);
    const value = make(present?.value);
    const ifRevisions = [
      { key: node.key, revision: node.revision },
      { key, revision: present?.revision ?? 0 },
    ];
    try {
      await store.transact({ ifRevisions, writes: [{ kind: 'put', key, value }] });
      return value;
    } catch (error) {
      if (!(error instanceof RevisionConflict) || attempt >= MOST_ATTEMPTS) throw error;
    }
  }
}
