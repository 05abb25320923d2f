import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { NodesAnswer } from '../api/schemas.ts';
import type { ToldEvent } from '../fleet/events.ts';
import { callApi, followEvents } from './client.ts';
import { formatEvent } from './events.ts';
import { formatNodes, sumUp } from './node-table.ts';

/** The table is not drawn more often; a rack that boots changes a hundred times a second. */
const DRAW_MS = 500;
/** How old it gets while bytes are counted, and while nothing happens. */
const LOADING_MS = 1000;
const QUIET_MS = 5000;

/** DEC private mode 1049: a screen of its own, which leaves the one before as it was. */
const [ENTER, LEAVE, HOME, TO_END] = ['\x1b[?1049h\x1b[?25l', '\x1b[?25h\x1b[?1049l', '\x1b[H', '\x1b[J'];
const TO_LINE_END = '\x1b[K';

/** What changes, until it is interrupted: on a terminal the table, kept up to date, else a line per change. */
export async function watchNodes(
  program: Command,
  options: { readonly json?: boolean | undefined },
): Promise<void> {
  const { stdout } = process;
  stdout.on('error', () => process.exit()); // nobody reads any more
  const get = () => callApi<NodesAnswer>(program, 'GET', '/v1/nodes');
  if (options.json || !stdout.isTTY) {
    process.once('SIGINT', () => process.exit(0));
    await printChanges(program, await get(), options.json ?? false);
    return;
  }
  let answer = await get();
  const leave = () => stdout.write(LEAVE);
  process.once('exit', leave);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(0));
  stdout.write(ENTER);
  let isStale = false;
  void followEvents(program, (event) => {
    isStale ||= isOfNodes(event);
  }).catch(() => {}); // asked again below, by itself
  stdout.on('resize', () => draw(answer));
  for (let trouble = ''; ; ) {
    draw(answer, trouble);
    const isLoading = answer.nodes.some(({ state }) => state === 'loading');
    const drawnAt = performance.now();
    do await sleep(DRAW_MS);
    while (!isStale && performance.now() - drawnAt < (isLoading ? LOADING_MS : QUIET_MS));
    isStale = false;
    trouble = '';
    try {
      answer = await get();
    } catch (error) {
      trouble = ` (as it was: ${error instanceof Error ? error.message : error})`;
    }
  }
}

async function printChanges(program: Command, { nodes }: NodesAnswer, isJson: boolean): Promise<void> {
  if (!isJson) console.log(sumUp(nodes));
  const startedAt = Date.now();
  await followEvents(program, (event) => {
    if (event.at < startedAt || !isOfNodes(event)) return;
    console.log(isJson ? JSON.stringify(event) : formatEvent(event));
  });
}

const isOfNodes = ({ kind }: ToldEvent): boolean =>
  kind === 'node state' || kind === 'node added' || kind === 'node changed' || kind === 'node removed';

/** As much as the screen holds: what changed last goes before what is as it was for long. */
function draw(answer: NodesAnswer, trouble = ''): void {
  // A terminal that does not know how large it is says 0.
  const rows = process.stdout.rows || 24;
  const columns = process.stdout.columns || 80;
  const room = rows - 3;
  const isWhole = answer.nodes.length + answer.waiting.length <= room;
  const newest = (list: NodesAnswer['nodes']) =>
    list.toSorted((a, b) => ((a.since ?? '') < (b.since ?? '') ? 1 : -1)).slice(0, room);
  const shown = isWhole ? answer : { nodes: newest(answer.nodes), waiting: [] };
  const title = `${sumUp(answer.nodes)}${answer.waiting.length > 0 ? `, ${answer.waiting.length} waiting` : ''}${trouble}`;
  const lines = [title, '', ...formatNodes(shown).split('\n')].slice(0, rows);
  const text = lines.map((line) => `${line.slice(0, columns)}${TO_LINE_END}`).join('\r\n');
  process.stdout.write(`${HOME}${text}${TO_END}`);
}
