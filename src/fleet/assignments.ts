import { z } from 'zod';
import type { Node } from '../model/node.ts';
import type { Serial } from '../net/serial.ts';
import type { Store, Write } from './store.ts';

const PREFIX = 'assignment/';

const assignmentSchema = z.object({
  image: z.string(),
  generation: z.string(),
  /** Who moved the pointer: the rollout's id. */
  by: z.string(),
});

/** A pointer of one node, over its image's channel. */
export type Assignment = z.output<typeof assignmentSchema>;

/** Which nodes boot another generation than their image stands for. */
export class Assignments {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** As long as the node has the image that it was assigned for. */
  of({ serial, image }: Pick<Node, 'serial' | 'image'>): Assignment | undefined {
    const document = this.#store.get(`${PREFIX}${serial}`);
    const assignment = document && assignmentSchema.parse(document.value);
    return assignment?.image === image ? assignment : undefined;
  }

  all(): ReadonlyMap<Serial, Assignment> {
    return new Map(
      this.#store
        .list(PREFIX)
        .map(({ key, value }) => [key.slice(PREFIX.length) as Serial, assignmentSchema.parse(value)]),
    );
  }
}

/** For a transaction: from now on the node boots this one. */
export const assign = (serial: Serial, assignment: Assignment): Write => ({
  kind: 'put',
  key: `${PREFIX}${serial}`,
  value: assignment,
});

/** For a transaction: from now on the node boots what its image stands for. */
export const unassign = (serial: Serial): Write => ({ kind: 'delete', key: `${PREFIX}${serial}` });
