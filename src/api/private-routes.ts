import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Fleet } from '../fleet/fleet.ts';
import type { ResetAnswer } from './schemas.ts';

const resetSchema = z.strictObject({ force: z.boolean().default(false) });

export function addPrivateRoutes(
  api: FastifyInstance,
  fleet: Fleet,
  canonical: (reference: string) => string,
): void {
  api.post<{ Params: { reference: string } }>(
    '/v1/nodes/:reference/reset-private',
    async ({ params, body }): Promise<ResetAnswer> => {
      const node = fleet.find(canonical(params.reference));
      const { path, disks } = await fleet.areas.reset(node, resetSchema.parse(body ?? {}));
      return { serial: node.serial, name: node.name, path, disks };
    },
  );
}
