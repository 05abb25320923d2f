import type { ServerResponse } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { EventHub, ToldEvent } from '../fleet/events.ts';
import { Refusal } from '../model/command.ts';
import { nameSchema } from '../model/node.ts';

/** What a build tells of a step, posted by whoever runs it. */
export const progressSchema = z.strictObject({
  step: z.string().min(1).max(200),
  state: z.enum(['started', 'cached', 'progress', 'finished', 'failed']),
  index: z.int().min(1).max(10_000).optional(),
  of: z.int().min(1).max(10_000).optional(),
  seconds: z.number().nonnegative().optional(),
  bytes: z.number().nonnegative().optional(),
  totalBytes: z.number().nonnegative().optional(),
  text: z.string().max(4000).optional(),
});
const questionSchema = z.strictObject({ follow: z.enum(['true', 'false']).default('true') });

const MOST_PROGRESS_BYTES = 16 * 1024;
const MOST_LISTENERS = 64;
/** Of a listener that does not read. It may come again and say what it heard last. */
const MOST_UNREAD_BYTES = 512 * 1024;
/** So that neither side takes a quiet day for a dead connection. */
const ALIVE_MS = 15_000;

/** What happens, as server-sent events (HTML standard, section 9.2), and as a list. */
export function addEventRoutes(api: FastifyInstance, events: EventHub): void {
  api.post<{ Params: { image: string } }>(
    '/v1/images/:image/progress',
    { bodyLimit: MOST_PROGRESS_BYTES },
    async ({ params, body }, reply) => {
      events.tell({
        kind: 'build progress',
        image: nameSchema.parse(params.image),
        ...progressSchema.parse(body),
      });
      return reply.code(204).send();
    },
  );

  api.get('/v1/events', (request, reply) => {
    const heard = request.headers['last-event-id']?.toString();
    if (questionSchema.parse(request.query).follow === 'false') return reply.send(events.since(heard));
    if (events.listeners >= MOST_LISTENERS) {
      throw new Refusal(`${MOST_LISTENERS} others follow the events already`, 'Close one of them.');
    }
    reply.hijack();
    follow(events, heard, reply.raw);
    return reply;
  });
}

function follow(events: EventHub, heard: string | undefined, response: ServerResponse): void {
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  const text = (event: ToldEvent) => `id: ${event.id}\ndata: ${JSON.stringify(event)}\n\n`;
  response.write(`: events\n\n${events.since(heard).map(text).join('')}`);
  // What is remembered is sent whole, however long it is.
  const most = MOST_UNREAD_BYTES + response.writableLength;
  const leave = events.listen((event) => {
    if (response.writableLength > most) response.destroy();
    else response.write(text(event));
  });
  const alive = setInterval(() => response.write(': alive\n\n'), ALIVE_MS).unref();
  response.once('close', () => {
    clearInterval(alive);
    leave();
  });
  response.on('error', () => {}); // 'close' follows
}
