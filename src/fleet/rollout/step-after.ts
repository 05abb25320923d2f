import type { Instant } from '../../model/lease.ts';
import type { Action } from './plan.ts';
import type { Step, StepOf } from './rollout.ts';

/** Actions that are a step of a node; the others are of the whole rollout, or leave nothing behind. */
export type StepAction = Exclude<Action, { readonly kind: 'order' | 'check' | 'stop' | 'finish' }>;

export interface StepChange {
  /** `undefined`: the node waits for its turn. */
  readonly step: Step | undefined;
  /** What becomes of its pointer in the same transaction. */
  readonly pointer?: 'to target' | 'away';
}

/** What is stored of a node by an action. It is durable before anything is done about the node. */
export function stepAfter(action: StepAction, step: Step | undefined, now: Instant): StepChange {
  const toldAt = step && 'toldAt' in step ? step.toldAt : undefined;
  const bootBefore = step && 'bootBefore' in step ? step.bootBefore : undefined;
  switch (action.kind) {
    case 'tell':
      return {
        step: { state: 'told', toldAt: now, by: action.by, bootBefore: action.bootBefore },
        pointer: 'to target',
      };
    case 'cycle':
      return { step: step?.state === 'told' || step?.state === 'failed' ? { ...step, cycledAt: now } : step };
    case 'done':
      return {
        step: { state: 'done', doneAt: now, ...(toldAt === undefined ? {} : { toldAt }) },
        pointer: 'to target',
      };
    case 'fail':
      return {
        step: {
          state: 'failed',
          toldAt: toldAt ?? now,
          failedAt: now,
          reason: action.reason,
          bootBefore,
        },
        pointer: 'away',
      };
    case 'back':
      return { step: step?.state === 'failed' ? { ...step, backAt: now } : step };
    case 'again':
      return { step: undefined };
    case 'skip':
      return {
        step: { state: 'skipped', at: now, reason: action.reason, isDown: action.isDown, bootBefore },
        pointer: 'away',
      };
    case 'leave':
      return { step: { state: 'left', at: now, reason: action.reason }, pointer: 'away' };
  }
}

/** A person has resumed the rollout: it is put back anew if need be, whatever it took before. */
export const retried = ({ takenAt: _, ...step }: StepOf<'failed'>, now: Instant): Step => {
  return { ...step, retryAt: now };
};
