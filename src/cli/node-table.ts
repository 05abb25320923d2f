import type { NodeStatus, NodesAnswer } from '../api/schemas.ts';
import { NODE_STATES } from '../model/node-state.ts';
import { ageWords, generationWords, stateWords } from './node-words.ts';
import { formatTable } from './table.ts';

const HEADING = ['SERIAL', 'NAME', 'STATE', 'SINCE', 'ADDRESS', 'IMAGE', 'ROLE', 'GENERATION'];
/** Of a state with its reason: the whole of it is in show-node. */
const MOST_STATE = 60;

/** A line per node, then one per machine that asks to boot and was not added. */
export function formatNodes({ nodes, waiting }: NodesAnswer, now: number = Date.now()): string {
  return formatTable(HEADING, [
    ...nodes.map((node) => [
      node.serial,
      node.name,
      shortened(stateWords(node)),
      ageWords(node.since, now),
      node.address ?? node.ip,
      node.image,
      node.role,
      generationWords(node),
    ]),
    ...waiting.map((found) => [
      // What add-node takes.
      found.serial ?? found.mac,
      undefined,
      found.boots ? `not added, served: ${found.machine}` : `waiting: ${found.machine}`,
      ageWords(found.lastSeen, now),
      undefined,
      found.boots,
      undefined,
      found.booted,
    ]),
  ]);
}

/** `6 nodes: 4 up, 1 loading, 1 unhealthy`. */
export function sumUp(nodes: readonly NodeStatus[]): string {
  const counts = Map.groupBy(nodes, ({ state }) => state);
  const parts = NODE_STATES.flatMap((state) => {
    const count = counts.get(state)?.length ?? 0;
    return count > 0 ? [`${count} ${state}`] : [];
  });
  return `${nodes.length} node${nodes.length === 1 ? '' : 's'}: ${parts.join(', ') || 'none'}`;
}

const shortened = (text: string): string =>
  text.length > MOST_STATE ? `${text.slice(0, MOST_STATE - 1)}…` : text;
