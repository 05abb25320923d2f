import type { Command } from 'commander';
import type { ToldEvent } from '../fleet/events.ts';
import { callApi, followEvents } from './client.ts';
import { printable } from './printable.ts';

export function addEventsCommand(program: Command): void {
  program
    .command('events')
    .description('what happened since the service started: the last thousand events')
    .option('--follow', 'and then what happens, until you stop it')
    .option('--json', 'for scripts: one object a line')
    .action(async ({ follow, json }: { follow?: boolean; json?: boolean }) => {
      const show = (event: ToldEvent) => console.log(json ? JSON.stringify(event) : formatEvent(event));
      if (follow) {
        process.stdout.on('error', () => process.exit()); // nobody reads any more
        return followEvents(program, show);
      }
      for (const event of await callApi<ToldEvent[]>(program, 'GET', '/v1/events?follow=false')) show(event);
    });
}

export function formatEvent(event: ToldEvent): string {
  return `${new Date(event.at).toISOString()}  ${printable(wordsOf(event))}`;
}

function wordsOf(event: ToldEvent): string {
  switch (event.kind) {
    case 'build progress': {
      const place = event.index === undefined ? '' : ` ${event.index}/${event.of ?? '?'}`;
      const time = event.seconds === undefined ? '' : ` in ${event.seconds.toFixed(1)} s`;
      const text = event.text === undefined ? '' : `: ${event.text}`;
      return `build of ${event.image}:${place} ${event.step} ${event.state}${time}${text}`;
    }
    case 'published':
    case 'rolled back': {
      const before = event.before === undefined ? '' : ` (before: ${event.before})`;
      return `${event.image} ${event.kind}: ${event.generation}${before}`;
    }
    case 'pruned':
      return `pruned: ${event.generations.join(', ')}`;
    case 'node added':
    case 'node changed':
    case 'node removed':
      return `${event.kind}: ${event.name} (${event.serial}), image ${event.image}`;
    case 'boot begun':
      return `${event.name} (${event.serial}) begins to boot ${event.generation}`;
    case 'node state': {
      const detail = event.detail === undefined ? '' : `: ${event.detail}`;
      return `${event.name} (${event.serial}) is ${event.state}, was ${event.before}${detail}`;
    }
    case 'fell back':
      return `${event.name} (${event.serial}) did not come up with ${event.from} in ${event.attempts} boots: it gets ${event.to} again`;
    case 'node trouble':
      return `${event.name} (${event.serial}): ${event.text}`;
    case 'rollout': {
      const who = event.name === undefined ? '' : ` ${event.name} (${event.serial})`;
      const text = event.text === undefined ? '' : `: ${event.text}`;
      return `rollout ${event.rollout} of ${event.image}: ${event.what}${who}${text}`;
    }
  }
}
