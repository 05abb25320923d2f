import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import type { Fleet } from '../fleet/fleet.ts';
import type { Power } from '../fleet/power.ts';
import type { Rollouts } from '../fleet/rollout/rollouts.ts';
import { parseSerial } from '../net/serial.ts';
import type { Exporter } from '../nfs/applied.ts';
import { addBootRoutes, type BootPorts } from './boot-routes.ts';
import { describeImages, describeLease } from './describe.ts';
import { addEventRoutes } from './event-routes.ts';
import { addImageRoutes, type ImagePorts } from './image-routes.ts';
import { addNodeRoutes } from './node-routes.ts';
import { addOrderRoutes } from './order-routes.ts';
import { addPowerRoutes } from './power-routes.ts';
import { addPrivateRoutes } from './private-routes.ts';
import { installProblems } from './problems.ts';
import { addProfileRoutes } from './profile-routes.ts';
import { addPublishRoutes } from './publish-routes.ts';
import { addRolloutRoutes } from './rollout-routes.ts';
import type { ExportStatus, StatusAnswer } from './schemas.ts';

export interface ApiPorts extends BootPorts, ImagePorts {
  readonly fleet: Fleet;
  readonly exporter: Exporter;
  /** The engines' part of the status: what they counted since they started. */
  readonly status: () => StatusAnswer;
  readonly log: FastifyBaseLogger;
  /** Without it, there is no route to switch the power of nodes. */
  readonly power?: Power;
  /** Without them, nodes are moved all at once. */
  readonly rollouts?: Rollouts;
}

/** The service's API, not yet listening: tests inject requests, the daemon binds it to the socket. */
export function buildApi({
  fleet,
  exporter,
  status,
  log,
  fetchedBytes,
  power,
  rollouts,
  ...boot
}: ApiPorts): FastifyInstance {
  const api = Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    forceCloseConnections: true,
  });
  installProblems(api);

  api.get('/v1/status', () => status());

  addNodeRoutes(api, fleet, canonical);
  addProfileRoutes(api, fleet);
  addBootRoutes(api, { fleet, ...boot }, canonical);
  addImageRoutes(api, { fleet, fetchedBytes });
  addPrivateRoutes(api, fleet, canonical);
  addOrderRoutes(api, fleet, canonical);
  if (rollouts) addRolloutRoutes(api, { fleet, rollouts }, canonical);
  if (power) addPowerRoutes(api, { fleet, power }, canonical);

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
