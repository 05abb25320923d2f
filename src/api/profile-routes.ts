import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Fleet } from '../fleet/fleet.ts';
import type { Profile } from '../fleet/resolve.ts';
import { nameSchema } from '../model/node.ts';
import { MOST_BODY_BYTES } from './node-routes.ts';
import { setProfileSchema } from './node-schemas.ts';
import type { ProfileStatus } from './schemas.ts';

const namedSchema = z.object({ profile: nameSchema });

interface Named {
  Params: { name: string };
}

/** Groups of nodes with settings in common. */
export function addProfileRoutes(api: FastifyInstance, fleet: Fleet): void {
  const { profiles } = fleet;
  const describe = ({ name, settings }: Profile): ProfileStatus => ({
    name,
    settings,
    files: fleet.files.ofOwner({ kind: 'profile', name }),
    nodes: profiles.nodesOf(name).map((node) => node.name),
  });

  api.get('/v1/profiles', () => ({ profiles: profiles.all().map(describe) }));
  api.get<Named>('/v1/profiles/:name', ({ params }) => ({
    profile: describe(profiles.find(params.name)),
    revision: fleet.view().revision,
  }));
  api.patch<Named>('/v1/profiles/:name', { bodyLimit: MOST_BODY_BYTES }, async ({ params, body }, reply) => {
    const { profile: name } = namedSchema.parse({ profile: params.name });
    const { profile, isNew, revision } = await profiles.set(name, setProfileSchema.parse(body));
    return reply.code(isNew ? 201 : 200).send({ profile: describe(profile), isNew, revision });
  });
  api.delete<Named>('/v1/profiles/:name', async ({ params }) => {
    const { profile, revision } = await profiles.remove(params.name);
    return { profile: { ...profile, files: [], nodes: [] } satisfies ProfileStatus, revision };
  });
}
