import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Fleet } from '../fleet/fleet.ts';
import { estimateEnd } from '../fleet/rollout/estimate.ts';
import { canBeTold, waitsFor } from '../fleet/rollout/plan.ts';
import { isActive, type Rollout, type Step } from '../fleet/rollout/rollout.ts';
import type { Rollouts } from '../fleet/rollout/rollouts.ts';
import { Refusal } from '../model/command.ts';
import type { Instant } from '../model/lease.ts';
import type { RetryAnswer, RolloutNodeStatus, RolloutStatus } from './schemas.ts';

const MOST_NODES = 100_000;
const WEEK_SECONDS = 7 * 24 * 3600;

const startSchema = z.strictObject({
  to: z.string().optional(),
  canary: z.int('the canaries are a number of nodes').min(1).max(MOST_NODES).optional(),
  batch: z
    .union([z.int().min(1).max(MOST_NODES), z.string().regex(/^([1-9]\d?|100)%$/)], {
      error: 'write the batch as a number of nodes, or as 10%',
    })
    .optional(),
  check: z.string().max(2000).optional(),
  withinSeconds: z.int().min(1).max(WEEK_SECONDS).optional(),
  atNextBoot: z.boolean().optional(),
});
const emptySchema = z.strictObject({}).optional();

interface ImageReference {
  Params: { image: string };
}

/** Moving the nodes of an image to another generation, some at a time. */
export function addRolloutRoutes(
  api: FastifyInstance,
  { fleet, rollouts }: { readonly fleet: Fleet; readonly rollouts: Rollouts },
  canonical: (reference: string) => string,
): void {
  const describe = (rollout: Rollout) => describeRollout(fleet, rollouts, rollout, Date.now());

  api.get('/v1/rollouts', async (): Promise<RolloutStatus[]> => {
    const images = [...new Set(fleet.rollouts.all().map(({ image }) => image))].sort();
    return images.flatMap((image) => fleet.rollouts.lastOf(image) ?? []).map(describe);
  });
  api.get<ImageReference>('/v1/rollouts/:image', async ({ params }): Promise<RolloutStatus> => {
    const rollout = fleet.rollouts.lastOf(params.image);
    if (rollout) return describe(rollout);
    throw new Refusal(
      `There was no rollout of image "${params.image}"`,
      `Start one with: netboot rollout ${params.image}`,
    );
  });
  api.post<ImageReference>('/v1/rollouts/:image', async ({ params, body }, reply) => {
    const rollout = await rollouts.start(params.image, startSchema.parse(body ?? {}));
    return reply.code(201).send(describe(rollout));
  });
  for (const verb of ['pause', 'resume', 'abort'] as const) {
    api.post<ImageReference>(`/v1/rollouts/:image/${verb}`, async ({ params, body }) => {
      emptySchema.parse(body ?? undefined);
      return describe(await rollouts[verb](params.image));
    });
  }

  api.post<{ Params: { reference: string } }>(
    '/v1/nodes/:reference/retry',
    async ({ params }): Promise<RetryAnswer> => {
      const node = fleet.find(canonical(params.reference));
      const { serial, name } = node;
      const fellBackFrom = fleet.boots.fallBack(node)?.from;
      await fleet.retry([node]);
      return { serial, name, fellBackFrom, generation: fleet.intended(node)?.id };
    },
  );
}

function describeRollout(fleet: Fleet, rollouts: Rollouts, rollout: Rollout, now: Instant): RolloutStatus {
  const allFacts = rollouts.facts(rollout);
  const { nodes: facts } = allFacts;
  const steps = fleet.rollouts.steps(rollout.id);
  const waiting = isActive(rollout) ? [...facts.keys()].filter((serial) => !steps.has(serial)) : [];
  const nodes = [...steps.keys(), ...waiting].map((serial): RolloutNodeStatus => {
    const node = facts.get(serial);
    const name = node?.name ?? fleet.view().nodes.get(serial)?.name ?? serial;
    return { serial, name, state: node?.state, ...describeStep(steps.get(serial), node?.check?.text) };
  });
  const count = (step: RolloutNodeStatus['step']) => nodes.filter((node) => node.step === step).length;
  const able = waiting.filter((serial) => {
    const node = facts.get(serial);
    return node !== undefined && canBeTold(node);
  });
  const end = estimateEnd(rollout, steps.values(), able.length, now);
  const { startedAt, endedAt, ...settings } = rollout;
  return {
    ...settings,
    startedAt: iso(startedAt),
    endedAt: endedAt === undefined ? undefined : iso(endedAt),
    estimatedEnd: end === undefined ? undefined : iso(end),
    heldUp: rollouts.heldUp(rollout.id) ?? waitsFor(rollout, allFacts),
    counts: {
      waiting: waiting.length,
      told: count('told'),
      done: count('done'),
      failed: count('failed'),
      skipped: count('skipped'),
      left: count('left'),
    },
    nodes: nodes.sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

function describeStep(
  step: Step | undefined,
  check: string | undefined,
): Pick<RolloutNodeStatus, 'step' | 'since' | 'seconds' | 'text'> {
  switch (step?.state) {
    case undefined:
      return { step: 'waiting' };
    case 'told':
      return { step: 'told', since: iso(step.toldAt), text: check };
    case 'done': {
      const seconds = step.toldAt === undefined ? undefined : Math.round((step.doneAt - step.toldAt) / 1000);
      return { step: 'done', since: iso(step.doneAt), seconds };
    }
    case 'failed': {
      const back = step.backAt === undefined ? 'to be put back' : 'put back';
      return { step: 'failed', since: iso(step.failedAt), text: `${step.reason}; ${back}` };
    }
    case 'skipped':
    case 'left':
      return { step: step.state, since: iso(step.at), text: step.reason };
  }
}

const iso = (instant: Instant): string => new Date(instant).toISOString();
