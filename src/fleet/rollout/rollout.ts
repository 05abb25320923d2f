import { z } from 'zod';
import type { Assignment } from '../assignments.ts';

/** As a person asked for it, and how far it is. */
export const rolloutSchema = z.object({
  /** `web.3`: the third rollout of image web. */
  id: z.string(),
  image: z.string(),
  /** The generation that the nodes are to get. */
  target: z.string(),
  /** What the image stands for while it runs, and what a node goes back to; absent when there is no other generation. */
  base: z.string().optional(),
  /** Nodes that try it first. */
  canary: z.int().min(1),
  /** Nodes that may be down at once behind them. */
  batch: z.int().min(1),
  /** `http://{ip}:8000/` has to answer, too. */
  check: z.string().optional(),
  /** That a node has from its order to being up. */
  withinSeconds: z.int().min(1),
  /** No node is told to reboot: those that boot get it. */
  atNextBoot: z.boolean(),
  state: z.enum(['running', 'paused', 'stopped', 'aborted', 'finished']),
  /** Why it stopped. */
  reason: z.string().optional(),
  startedAt: z.number(),
  endedAt: z.number().optional(),
});
export type Rollout = z.output<typeof rolloutSchema>;

/** What became of one node. A node without a step waits for its turn. All times in milliseconds since 1970. */
export const stepSchema = z.discriminatedUnion('state', [
  /** It is to boot the target, by an order or by its power. */
  z.object({
    state: z.literal('told'),
    toldAt: z.number(),
    by: z.enum(['order', 'power', 'itself']),
    /** `since` of the last boot that was known then: any other is the boot that it was told to. */
    bootBefore: z.number().optional(),
    /** It took the order to reboot. */
    takenAt: z.number().optional(),
    /** Its power was about to be cycled. */
    cycledAt: z.number().optional(),
  }),
  z.object({ state: z.literal('done'), toldAt: z.number().optional(), doneAt: z.number() }),
  /** It is to boot the base again. */
  z.object({
    state: z.literal('failed'),
    toldAt: z.number(),
    failedAt: z.number(),
    reason: z.string(),
    /** As when it was told. */
    bootBefore: z.number().optional(),
    /** It took the order to reboot. */
    takenAt: z.number().optional(),
    cycledAt: z.number().optional(),
    /** It runs the base again. */
    backAt: z.number().optional(),
    /** A person resumed the rollout: it is tried anew once it is back. */
    retryAt: z.number().optional(),
  }),
  /** It could not be reached: it gets the target by the channel, at the end. */
  z.object({
    state: z.literal('skipped'),
    at: z.number(),
    reason: z.string(),
    /** The rollout took it down, and it has not been up since. */
    isDown: z.boolean().optional(),
    /** As when it was told. */
    bootBefore: z.number().optional(),
  }),
  /** It was removed, or has another image now. */
  z.object({ state: z.literal('left'), at: z.number(), reason: z.string() }),
]);
export type Step = z.output<typeof stepSchema>;
export type StepOf<State extends Step['state']> = Step & { readonly state: State };

/** It is neither over nor given up: the image's channel is held at the base. */
export const isActive = ({ state }: Rollout): boolean =>
  state === 'running' || state === 'paused' || state === 'stopped';

/** The node is on its way to the target, or back. */
export const isUnderWay = (step: Step): boolean =>
  step.state === 'told' ||
  (step.state === 'failed' && (step.backAt === undefined || step.retryAt !== undefined));

/** The rollout has taken the node down, and it is not up again, be it given up or not. */
export const isDown = (step: Step): boolean =>
  isUnderWay(step) || (step.state === 'skipped' && step.isDown === true);

/** How many more may be taken down now. */
export function roomLeft({ canary, batch }: Rollout, steps: Iterable<Step>): number {
  const all = [...steps];
  const done = all.filter(({ state }) => state === 'done').length;
  return (done < canary ? canary - done : batch) - all.filter(isDown).length;
}

/** What has a node boot the target. */
export function assignmentFor({ id, image, target }: Rollout): Assignment {
  return { image, generation: target, by: id };
}
