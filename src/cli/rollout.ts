import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import type { RetryAnswer, RolloutNodeStatus, RolloutStatus } from '../api/schemas.ts';
import { Refusal } from '../model/command.ts';
import { callApi, ServiceRefusal } from './client.ts';
import { nodePath } from './nodes.ts';
import { printable } from './printable.ts';
import { formatTable } from './table.ts';

interface RolloutOptions {
  to?: string;
  canary?: number;
  batch?: number | string;
  check?: string;
  within?: number;
  atNextBoot?: boolean;
  wait?: boolean;
  json?: boolean;
}

const LOOK_MS = 1000;

export function addRolloutCommands(program: Command): void {
  const rollout = program
    .command('rollout')
    .description('move the nodes of an image to another generation, some at a time, and back when it is bad')
    .addHelpText(
      'after',
      '\n"netboot rollout IMAGE …" is "netboot rollout start IMAGE …": see netboot rollout start --help.',
    );

  rollout
    .command('start <image>', { isDefault: true })
    .description(
      'begin with some canaries, go on batch by batch, and stop by itself when a node does not come up, or does not stay up',
    )
    .option('--to <generation>', 'the generation to move to (default: the one that was sealed last)')
    .option('--canary <nodes>', 'how many try it first (default: 1)', whole)
    .option('--batch <nodes|percent>', 'how many are told to reboot at once then (default: 10%)', share)
    .option('--check <url>', 'what has to answer, too: http://{ip}:8000/ ({ip}, {name}, {serial}, {mac})')
    .option(
      '--within <time>',
      'what a node may take from its order to being up: 90s, 1h (default: 5m)',
      seconds,
    )
    .option(
      '--at-next-boot',
      'tell no node to reboot: those that boot get it, as many at a time as above; over when all have booted',
    )
    .option('--wait', 'until it is over: fails when it stops')
    .option('--json', 'for scripts')
    .action(async (image: string, { within, wait, json, ...options }: RolloutOptions) => {
      const body = { ...options, withinSeconds: within };
      const status = await callApi<RolloutStatus>(program, 'POST', pathOf(image), body);
      if (!wait) return show(status, json, formatStart);
      if (!json) console.log(formatStart(status));
      return waitForEnd(program, status, json);
    });

  rollout
    .command('status [image]')
    .description('how far the last rollout is, and when it will be over')
    .option('--watch', 'and again whenever it changes, until it is over')
    .option('--json', 'for scripts')
    .action(async (image: string | undefined, { watch, json }: { watch?: boolean; json?: boolean }) => {
      if (!watch) return showStatus(await read(program, image), json);
      for (let last = ''; ; await sleep(LOOK_MS)) {
        const found = await patiently(() => read(program, image));
        const change = JSON.stringify(found.map((status) => ({ ...status, estimatedEnd: undefined })));
        const text = json ? JSON.stringify(found) : found.map(formatStatus).join('\n\n');
        if (change !== last) console.log(last === '' || json ? text : `\n${text}`);
        last = change;
        if (found.every(({ state }) => !isUnderWay(state))) return;
      }
    });

  const verbs = {
    pause: 'tell no further node until it is resumed',
    resume: 'go on; nodes that failed are tried again',
    abort: 'give it up: nodes boot what they had before from their next boot on',
  } as const;
  for (const [verb, description] of Object.entries(verbs)) {
    rollout
      .command(`${verb} <image>`)
      .description(description)
      .option('--json', 'for scripts')
      .action(async (image: string, { json }: { json?: boolean }) => {
        const status = await callApi<RolloutStatus>(program, 'POST', `${pathOf(image)}/${verb}`, {});
        show(status, json, ({ id, state }) => `rollout ${id} is ${state}`);
      });
  }

  program
    .command('retry <node>')
    .description('have a node that fell back boot again what it did not come up with')
    .option('--json', 'for scripts')
    .action(async (reference: string, { json }: { json?: boolean }) => {
      const answer = await callApi<RetryAnswer>(program, 'POST', `${nodePath(reference)}/retry`);
      const { name, fellBackFrom, generation } = answer;
      if (json) console.log(JSON.stringify(answer, null, 2));
      else if (fellBackFrom === undefined)
        console.log(`${name} had not fallen back: it boots ${generation ?? 'nothing yet'}`);
      else console.log(`${name} boots ${fellBackFrom} again at its next boot`);
    });
}

const pathOf = (image: string): string => `/v1/rollouts/${encodeURIComponent(image)}`;

const isUnderWay = (state: RolloutStatus['state'] | undefined): boolean =>
  state === 'running' || state === 'paused';

async function read(program: Command, image: string | undefined): Promise<RolloutStatus[]> {
  if (image === undefined) return callApi<RolloutStatus[]>(program, 'GET', '/v1/rollouts');
  return [await callApi<RolloutStatus>(program, 'GET', pathOf(image))];
}

/** A service that restarts is back in a moment, and the rollout goes on. */
async function patiently<T>(look: () => Promise<T>): Promise<T> {
  const until = Date.now() + 60_000;
  for (;;) {
    try {
      return await look();
    } catch (error) {
      if (error instanceof ServiceRefusal || Date.now() > until) throw error;
      await sleep(LOOK_MS);
    }
  }
}

/** @throws Refusal when it stops, or somebody gives it up. */
async function waitForEnd(program: Command, { id, image }: RolloutStatus, json?: boolean): Promise<void> {
  for (;;) {
    await sleep(LOOK_MS);
    const [status] = await patiently(() => read(program, image));
    if (!status) continue;
    if (status.id !== id)
      throw new Refusal(`Rollout ${id} is over, and was followed by ${status.id}`, 'See "netboot events".');
    if (isUnderWay(status.state)) continue;
    show(status, json, formatStatus);
    if (status.state === 'finished') return;
    throw new Refusal(
      `Rollout ${id} is ${status.state}${status.reason === undefined ? '' : `: ${printable(status.reason)}`}`,
      status.state === 'stopped'
        ? `Go on with "netboot rollout resume ${image}", or give it up: netboot rollout abort ${image}`
        : 'See "netboot events".',
    );
  }
}

function show(
  status: RolloutStatus,
  json: boolean | undefined,
  format: (status: RolloutStatus) => string,
): void {
  console.log(json ? JSON.stringify(status, null, 2) : format(status));
}

function showStatus(found: readonly RolloutStatus[], json?: boolean): void {
  if (json) console.log(JSON.stringify(found, null, 2));
  else console.log(found.length === 0 ? 'there was no rollout yet' : found.map(formatStatus).join('\n\n'));
}

function formatStart({ id, image, target, base, counts, canary, batch, atNextBoot }: RolloutStatus): string {
  const nodes = counts.waiting + counts.done;
  const how = atNextBoot ? 'as they boot' : `${canary} first, then ${batch} at a time`;
  const back =
    base === undefined
      ? 'there is no other generation to go back to'
      : `until then image ${image} stands for ${base}`;
  return `rollout ${id}: ${nodes} nodes to ${target}, ${how}; ${back}`;
}

export function formatStatus(status: RolloutStatus): string {
  const { id, target, base, state, reason, heldUp, counts, estimatedEnd, endedAt } = status;
  const shown = Object.entries(counts).filter(([, count]) => count > 0);
  const end = endedAt ? `, over since ${endedAt}` : estimatedEnd ? `, over at about ${estimatedEnd}` : '';
  return [
    `rollout ${id}: ${state}${end}`,
    ...(reason === undefined ? [] : [`  because ${printable(reason)}`]),
    ...(heldUp === undefined ? [] : [`  held up: ${printable(heldUp)}`]),
    `  from ${base ?? 'nothing'} to ${target}: ${shown.map(([name, count]) => `${count} ${name}`).join(', ') || 'no nodes'}`,
    ...(status.nodes.length === 0 ? [] : [formatNodes(status.nodes)]),
  ].join('\n');
}

function formatNodes(nodes: readonly RolloutNodeStatus[]): string {
  const rows = nodes.map(({ serial, name, step, state, since, seconds, text }) => [
    serial,
    name,
    step,
    state,
    since,
    seconds === undefined ? undefined : `${seconds} s`,
    text && printable(text),
  ]);
  return formatTable(['SERIAL', 'NAME', 'STEP', 'STATE', 'SINCE', 'TOOK', 'WHY'], rows);
}

const COUNT = /^[1-9]\d{0,4}$/;

function whole(text: string): number {
  if (COUNT.test(text)) return Number(text);
  throw new InvalidArgumentError('Give a number of nodes, 1 or more.');
}

function share(text: string): number | string {
  if (/^([1-9]\d?|100)%$/.test(text)) return text;
  if (COUNT.test(text)) return Number(text);
  throw new InvalidArgumentError('Give a number of nodes, 1 or more, or percent of them, 1% to 100%.');
}

function seconds(text: string): number {
  const [, count, unit] = /^([1-9]\d{0,4})([smh])$/.exec(text) ?? [];
  if (count === undefined) throw new InvalidArgumentError('Write a time as 90s, 5m or 1h.');
  return Number(count) * { s: 1, m: 60, h: 3600 }[unit as 's' | 'm' | 'h'];
}
