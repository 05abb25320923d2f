import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Fleet } from '../fleet/fleet.ts';
import { mayGo } from '../fleet/retention.ts';
import type {
  DeletedAnswer,
  PublishAnswer,
  RetentionAnswer,
  RollbackTargetAnswer,
  WithdrawnAnswer,
} from './schemas.ts';

const publishSchema = z.strictObject({ generation: z.string() });
const rollbackSchema = z.strictObject({ to: z.string().optional() });
const pruneSchema = z.strictObject({
  generation: z.string().optional(),
  supersededOf: z.string().optional(),
});
const deletedSchema = z.strictObject({ generations: z.array(z.string()).max(1000) });

interface ImageReference {
  Params: { image: string };
}

/** Which generation an image stands for, and which ones go. */
export function addPublishRoutes(api: FastifyInstance, fleet: Fleet): void {
  api.post<ImageReference>(
    '/v1/images/:image/publish',
    ({ params, body }): Promise<PublishAnswer> =>
      fleet.publish(params.image, publishSchema.parse(body).generation),
  );
  api.get<ImageReference>(
    '/v1/images/:image/rollback',
    async ({ params, query }): Promise<RollbackTargetAnswer> => ({
      generation: fleet.rollbackTarget(params.image, rollbackSchema.parse(query).to).id,
    }),
  );
  api.post<ImageReference>(
    '/v1/images/:image/rollback',
    ({ params, body }): Promise<PublishAnswer> =>
      fleet.rollback(params.image, rollbackSchema.parse(body ?? {}).to),
  );

  api.get('/v1/retention', async (): Promise<RetentionAnswer> => {
    const verdicts = await fleet.retention();
    return verdicts.map((verdict) => ({ ...verdict, goes: mayGo(verdict) }));
  });
  // The service may not write where generations lie: who asks deletes what is withdrawn, and then says so.
  api.post('/v1/prune', async ({ body }): Promise<WithdrawnAnswer> => {
    return { withdrawn: await fleet.withdraw(pruneSchema.parse(body ?? {})) };
  });
  api.delete<{ Params: { id: string } }>(
    '/v1/generations/:id',
    async ({ params }): Promise<WithdrawnAnswer> => ({
      withdrawn: await fleet.withdraw({ generation: params.id }),
    }),
  );
  api.post('/v1/prune/deleted', async ({ body }): Promise<DeletedAnswer> => {
    return { deleted: await fleet.forget(deletedSchema.parse(body).generations) };
  });
}
