import type { FastifyInstance } from 'fastify';
import type { Fleet } from '../fleet/fleet.ts';
import type { Node } from '../model/node.ts';
import { describeNodes } from './describe.ts';
import { describeNode } from './describe-node.ts';
import { addNodeSchema, removeNodeSchema, setNodeSchema } from './node-schemas.ts';
import type { NodeStatus } from './schemas.ts';

/** What all files of a node take, written in Base64, and room to spare. */
export const MOST_BODY_BYTES = 2 * 1024 * 1024;

interface NodeReference {
  Params: { reference: string };
}

export function addNodeRoutes(
  api: FastifyInstance,
  fleet: Fleet,
  canonical: (reference: string) => string,
): void {
  const options = { bodyLimit: MOST_BODY_BYTES };
  const whole = (node: Node): NodeStatus => describeWholly(fleet, node);

  api.get('/v1/nodes', () => describeNodes(fleet));
  api.get<NodeReference>('/v1/nodes/:reference', ({ params }) => {
    return { node: whole(fleet.find(canonical(params.reference))), revision: fleet.view().revision };
  });
  api.post('/v1/nodes', options, async ({ body }, reply) => {
    const { node, revision } = await fleet.addNode(addNodeSchema.parse(body));
    return reply.code(201).send({ node: whole(node), revision });
  });
  api.patch<NodeReference>('/v1/nodes/:reference', options, async ({ params, body }) => {
    const { node, revision } = await fleet.setNode(canonical(params.reference), setNodeSchema.parse(body));
    return { node: whole(node), revision };
  });
  api.delete<NodeReference>('/v1/nodes/:reference', async ({ params, query }) => {
    const { node, revision } = await fleet.removeNode(
      canonical(params.reference),
      removeNodeSchema.parse(query),
    );
    return { node: describeNode(fleet, node), revision, kept: fleet.areas.folderOf(node) };
  });
}

/** With all it is set to, and who says so; of its files what may be told. */
function describeWholly(fleet: Fleet, node: Node): NodeStatus {
  const { settings, origins } = fleet.nodes.settled(node.serial);
  const files = fleet.files.factsOf(node);
  const described = describeNode(fleet, node);
  const { serial, name, state, mac, ip } = described;
  return {
    ...{ serial, name, state, mac, ip, profile: node.profile, ...settings }, // in this order
    ...described,
    ...settings,
    image: node.image,
    origins,
    hostKey: fleet.reporting.identities.publicKey(node.serial),
    ...(files.length > 0 ? { files } : {}),
  };
}
