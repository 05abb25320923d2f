import type { HostKey } from '../model/report.ts';
import type { Serial } from '../net/serial.ts';
import { putForNode } from './node-documents.ts';
import type { Store, Write } from './store.ts';

const keyOf = (serial: Serial): string => `identity/${serial}`;

/** Makes a new key; the comment stands at the end of its public line. */
export type MakeHostKey = (comment: string) => Promise<HostKey>;

/**
 * The SSH host key of each node: made here, once, so that it is the same after every boot and with every generation, and
 * in none of them. It goes with its node.
 */
export class Identities {
  readonly #store: Store;
  readonly #make: MakeHostKey;
  readonly #underWay = new Map<Serial, Promise<HostKey>>();

  constructor(store: Store, make: MakeHostKey) {
    this.#store = store;
    this.#make = make;
  }

  /** The node's key, which is made when it has none; it is on the disk then. @throws Refusal when the node is gone. */
  hostKey(serial: Serial): Promise<HostKey> {
    const present = this.#present(serial);
    if (present) return Promise.resolve(present);
    const underWay = this.#underWay.get(serial) ?? this.#makeFor(serial);
    this.#underWay.set(serial, underWay);
    return underWay;
  }

  /** The line of `known_hosts` behind the names; `undefined` as long as the node has no key. */
  publicKey(serial: Serial): string | undefined {
    return this.#present(serial)?.publicKey;
  }

  /** What goes with the node, in the same transaction. */
  removal(serial: Serial): readonly Write[] {
    return [{ kind: 'delete', key: keyOf(serial) }];
  }

  #present(serial: Serial): HostKey | undefined {
    // What is being written is shown before it is on the disk.
    return this.#underWay.has(serial) ? undefined : (this.#store.get(keyOf(serial))?.value as HostKey);
  }

  async #makeFor(serial: Serial): Promise<HostKey> {
    try {
      const made = await this.#make(serial);
      await putForNode(this.#store, serial, keyOf(serial), () => made);
      return made;
    } finally {
      this.#underWay.delete(serial);
    }
  }
}
