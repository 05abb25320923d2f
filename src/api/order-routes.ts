import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Fleet } from '../fleet/fleet.ts';
import type { Order } from '../model/report.ts';
import type { KnownHost, OrderAnswer } from './schemas.ts';

const orderSchema = z.discriminatedUnion('order', [
  z.strictObject({ order: z.literal('reboot') }),
  z.strictObject({ order: z.literal('isolate'), target: z.string().max(255) }),
]);

export function addOrderRoutes(
  api: FastifyInstance,
  fleet: Fleet,
  canonical: (reference: string) => string,
): void {
  /** Answers when the node has taken it; who hangs up before takes it back. */
  api.post<{ Params: { reference: string } }>(
    '/v1/nodes/:reference/orders',
    async ({ params, body }, reply): Promise<OrderAnswer> => {
      const node = fleet.find(canonical(params.reference));
      const asked = orderSchema.parse(body);
      const order: Order =
        asked.order === 'reboot'
          ? { kind: 'reboot' }
          : { kind: 'isolate', target: fleet.reporting.targetOf(node, asked.target) };
      const gone = new AbortController();
      reply.raw.once('close', () => gone.abort());
      const startedAt = performance.now();
      await fleet.reporting.send(node, order, { signal: gone.signal });
      const ms = Math.round(performance.now() - startedAt);
      return {
        serial: node.serial,
        name: node.name,
        order: order.kind,
        ...(order.kind === 'isolate' ? { target: order.target } : {}),
        ms,
      };
    },
  );

  api.get('/v1/known-hosts', async (): Promise<KnownHost[]> => {
    const nodes = [...fleet.view().nodes.values()];
    return Promise.all(
      nodes.map(async (node) => ({
        serial: node.serial,
        name: node.name,
        address: fleet.addresses.addressOf(node),
        key: await fleet.reporting.knownKey(node.serial),
      })),
    );
  });
}
