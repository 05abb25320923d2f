import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Fleet } from '../fleet/fleet.ts';
import type { BootKeys } from '../model/boot-key.ts';
import type { Node } from '../model/node.ts';
import type { BootKeyAnswer, FirmwareConfigAnswer } from './schemas.ts';

/** What HTTP boot and signed boot need of the service. */
export interface BootPorts {
  readonly bootKeys: BootKeys;
  /** @param boot unless told, by HTTP where that is served. @throws Refusal when it is not. */
  readonly firmwareConfig: (node: Node, boot?: 'http' | 'tftp') => Promise<FirmwareConfigAnswer>;
}

const makeKeySchema = z.strictObject({ replace: z.boolean().default(false) });
const questionSchema = z.strictObject({ boot: z.enum(['http', 'tftp']).optional() });

/** Of the key only the public half ever leaves: there is no route for the other. */
export function addBootRoutes(
  api: FastifyInstance,
  { fleet, bootKeys, firmwareConfig }: BootPorts & { readonly fleet: Fleet },
  canonical: (reference: string) => string,
): void {
  api.post('/v1/boot-key', async ({ body }): Promise<BootKeyAnswer> => {
    const { key, outcome } = await bootKeys.make(makeKeySchema.parse(body).replace);
    const { publicKey, fingerprint, made } = key;
    return { publicKey, fingerprint, made, outcome };
  });
  api.get<{ Params: { reference: string } }>(
    '/v1/nodes/:reference/firmware-config',
    ({ params, query }): Promise<FirmwareConfigAnswer> =>
      firmwareConfig(fleet.find(canonical(params.reference)), questionSchema.parse(query).boot),
  );
}
