import type { Serial } from '../../net/serial.ts';
import type { BootRecord } from '../boots.ts';
import type { RolloutBook } from './book.ts';

export interface Holders {
  readonly rollouts: Pick<RolloutBook, 'active'>;
  readonly boots: { all(): readonly BootRecord[] };
  readonly view: () => { readonly nodes: ReadonlyMap<Serial, unknown> };
}

/**
 * Generations that are needed although no image stands for them: id → by whom, in words, beyond what the nodes' boots tell
 * by themselves. What a node runs or goes back to need never have been published.
 */
export function heldGenerations({ rollouts, boots, view }: Holders): ReadonlyMap<string, readonly string[]> {
  const held = new Map<string, string[]>();
  const hold = (id: string | undefined, users: readonly string[] = []) => {
    if (id !== undefined) held.set(id, [...(held.get(id) ?? []), ...users]);
  };
  for (const { id, target, base } of rollouts.active()) {
    hold(target, [`rollout ${id} moves nodes to it`]);
    hold(base, [`nodes go back to it when rollout ${id} fails`]);
  }
  const { nodes } = view();
  for (const { serial, generation, before, good } of boots.all())
    if (nodes.has(serial)) for (const id of [generation, before, good]) hold(id);
  return held;
}
