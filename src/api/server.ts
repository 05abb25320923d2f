import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import type { Fleet } from '../fleet/fleet.ts';
import { parseSerial } from '../net/serial.ts';
import type { Exporter } from '../nfs/applied.ts';
import { addBootRoutes, type BootPorts } from './boot-routes.ts';
import { describeImages, describeLease, describeNode, describeNodes } from './describe.ts';
import { addEventRoutes } from './event-routes.ts';
import { addImageRoutes, type ImagePorts } from './image-routes.ts';
import { installProblems } from './problems.ts';
import { addPublishRoutes } from './publish-routes.ts';
import { addNodeSchema, type ExportStatus, type StatusAnswer, setNodeSchema } from './schemas.ts';

export interface ApiPorts extends BootPorts, ImagePorts {
  readonly fleet: Fleet;
  readonly exporter: Exporter;
  /** The engines' part of the status: what they counted since they started. */
  readonly status: () => StatusAnswer;
  readonly log: FastifyBaseLogger;
}

interface NodeReference {
  Params: { reference: string };
}

/** The service's API, not yet listening: tests inject requests, the daemon binds it to the socket. */
export function buildApi({ fleet, exporter, status, log, fetchedBytes, ...boot }: ApiPorts): FastifyInstance {
  const api = Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: true,
  });
  installProblems(api);

  api.get('/v1/status', () => status());

  api.get('/v1/nodes', () => describeNodes(fleet));
  api.get<NodeReference>('/v1/nodes/:reference', ({ params }) => {
    return {
      node: describeNode(fleet, fleet.find(canonical(params.reference))),
      revision: fleet.view().revision,
    };
  });
  api.post('/v1/nodes', async ({ body }, reply) => {
    const { node, revision } = await fleet.addNode(addNodeSchema.parse(body));
    return reply.code(201).send({ node: describeNode(fleet, node), revision });
  });
  api.patch<NodeReference>('/v1/nodes/:reference', async ({ params, body }) => {
    const { node, revision } = await fleet.setNode(canonical(params.reference), setNodeSchema.parse(body));
    return { node: describeNode(fleet, node), revision };
  });
  api.delete<NodeReference>('/v1/nodes/:reference', async ({ params }) => {
    const { node, revision } = await fleet.removeNode(canonical(params.reference));
    return { node: describeNode(fleet, node), revision };
  });

  addBootRoutes(api, { fleet, ...boot }, canonical);
  addImageRoutes(api, { fleet, fetchedBytes });

  api.get('/v1/images', () => describeImages(fleet));
  addPublishRoutes(api, fleet);
  addEventRoutes(api, fleet.events);

  api.get('/v1/leases', () => fleet.leases.all().map((lease) => describeLease(lease, Date.now())));
  api.get('/v1/exports', (): readonly ExportStatus[] => exporter.state().exports);
  return api;
}

/** A serial in any form a person pastes means the node; anything else is taken as a name. */
function canonical(reference: string): string {
  try {
    return parseSerial(reference);
  } catch {
    return reference;
  }
}
