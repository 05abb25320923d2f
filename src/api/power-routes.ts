import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Fleet } from '../fleet/fleet.ts';
import type { Power } from '../fleet/power.ts';
import type { PowerAnswer } from './schemas.ts';

const switchSchema = z.strictObject({ action: z.enum(['on', 'off', 'cycle']) });

export function addPowerRoutes(
  api: FastifyInstance,
  { fleet, power }: { readonly fleet: Fleet; readonly power: Power },
  canonical: (reference: string) => string,
): void {
  /** Answers when it is done; who hangs up meanwhile does not stop it. */
  api.post<{ Params: { reference: string } }>(
    '/v1/nodes/:reference/power',
    async ({ params, body }): Promise<PowerAnswer> => {
      const node = fleet.find(canonical(params.reference));
      const { action } = switchSchema.parse(body);
      const startedAt = performance.now();
      await power.switch(node, action);
      return { serial: node.serial, name: node.name, action, ms: Math.round(performance.now() - startedAt) };
    },
  );
}
