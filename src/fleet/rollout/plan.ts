import type { Instant } from '../../model/lease.ts';
import type { NodeState } from '../../model/node-state.ts';
import type { Serial } from '../../net/serial.ts';
import { isDown, type Rollout, roomFor, type Step, type StepOf } from './rollout.ts';

/** What is known of a node of the image at this moment. */
export interface NodeFacts {
  readonly serial: Serial;
  readonly name: string;
  readonly state: NodeState;
  readonly since: Instant;
  /** Why it is in that state, where that alone does not tell. */
  readonly detail?: string | undefined;
  /** It has reported in this boot, and in this run of the service. */
  readonly answers: boolean;
  /** It has reported in this boot: when it falls silent, its state tells. */
  readonly hasReported: boolean;
  /** The generation it reports to run. */
  readonly runs?: string | undefined;
  readonly boot?:
    | { readonly generation: string; readonly since: Instant; readonly gotKernel: boolean }
    | undefined;
  /** It was told, and gets its last good generation in place of the one it is to boot. */
  readonly hasFallenBack: boolean;
  readonly hasPower: boolean;
  /** What became of the order, and of the power cycle, that this run of the service began. */
  readonly order?: 'under way' | 'taken' | 'unanswered' | undefined;
  readonly cycle?: 'under way' | 'done' | 'failed' | undefined;
  /** What the check URL says of it; absent when it was not asked yet. */
  readonly check?: { readonly passed: boolean; readonly text: string } | undefined;
}

export interface RolloutFacts {
  /** The nodes of the rollout's image. */
  readonly nodes: ReadonlyMap<Serial, NodeFacts>;
  readonly steps: ReadonlyMap<Serial, Step>;
  readonly isTargetThere: boolean;
  /** Whether nodes that run them report; without that, a node is judged by its boot and the check alone. */
  readonly targetReports: boolean;
  readonly baseReports: boolean;
  /** Of this run of the service: of orders that an earlier one sent, nothing is known. */
  readonly startedAt: Instant;
}

export type Action =
  /** Moves the node to the target. How it gets to boot that comes next. */
  | { readonly kind: 'tell'; readonly serial: Serial; readonly by: StepOf<'told'>['by'] }
  | { readonly kind: 'order'; readonly serial: Serial }
  | { readonly kind: 'check'; readonly serial: Serial }
  | { readonly kind: 'cycle'; readonly serial: Serial }
  | { readonly kind: 'done' | 'back' | 'again'; readonly serial: Serial }
  | { readonly kind: 'fail' | 'skip' | 'leave'; readonly serial: Serial; readonly reason: string }
  | { readonly kind: 'stop'; readonly reason: string }
  | { readonly kind: 'finish' };

/** What a node still repairs by itself when it starts, it has repaired by then. */
const HOPELESS_MS = 60_000;

/** A node asks for orders all the time it is up; this leaves room for a connection that broke unnoticed. */
export const ANSWER_MS = 90_000;

/**
 * What is to be done now. Says the same again as long as the facts stay the same, so that it does not matter how often it
 * was asked, nor whether the service was killed between two answers.
 *
 * Nobody new is told before all that were told are judged, so that never more are down than are told at once.
 */
export function plan(rollout: Rollout, facts: RolloutFacts, now: Instant): Action[] {
  if (rollout.state === 'aborted' || rollout.state === 'finished') return [];
  const judged = [...facts.steps].flatMap(([serial, step]) => {
    const node = facts.nodes.get(serial);
    if (!node) return leave(serial, step);
    if (step.state === 'told') return judge({ rollout, facts, now }, node, step);
    return step.state === 'failed' ? putBack({ rollout, facts, now }, node, step) : [];
  });
  const isUnderWay = [...facts.steps].some(([, step]) => isDown(step));
  if (rollout.state !== 'running' || isUnderWay || judged.length > 0) return judged;
  if (!facts.isTargetThere) return [{ kind: 'stop', reason: goneReason(rollout) }];
  return tellNext(rollout, facts, now);
}

interface Moment {
  readonly rollout: Rollout;
  readonly facts: RolloutFacts;
  readonly now: Instant;
}

function leave(serial: Serial, { state }: Step): Action[] {
  if (state === 'left' || state === 'skipped') return [];
  return [{ kind: 'leave', serial, reason: 'it was removed, or has another image now' }];
}

function judge({ rollout, facts, now }: Moment, node: NodeFacts, step: StepOf<'told'>): Action[] {
  const { serial } = node;
  if (!facts.isTargetThere) return [{ kind: 'fail', serial, reason: goneReason(rollout) }];
  const hasBegun = node.boot !== undefined && node.boot.since >= step.toldAt;
  if (hasBegun && node.hasFallenBack && node.boot?.generation !== rollout.target) {
    return [{ kind: 'fail', serial, reason: `it fell back to ${node.boot?.generation}` }];
  }
  const boots = hasBegun && node.boot?.generation === rollout.target;
  const isHealthy = boots && node.boot?.gotKernel === true && runsTarget(rollout, facts, node);
  if (isHealthy && (rollout.check === undefined || node.check?.passed)) return [{ kind: 'done', serial }];
  const isOver = now >= Math.max(step.toldAt, step.cycledAt ?? 0) + rollout.withinSeconds * 1000;
  if (!boots && step.by !== 'itself') {
    const next = makeItBoot(node, step, { isOver, startedAt: facts.startedAt, now });
    if (next) return next;
  }
  const isHopeless = boots && isKnownBad(rollout, node) && now >= node.since + HOPELESS_MS;
  if (isOver || isHopeless) {
    return [{ kind: 'fail', serial, reason: reasonOf(rollout, facts, node, isHealthy, isOver) }];
  }
  return isHealthy ? [{ kind: 'check', serial }] : [];
}

/** What gets a node to boot that was told and does not; `undefined` when it is only to be waited for. */
function makeItBoot(
  node: NodeFacts,
  step: StepOf<'told'>,
  {
    isOver,
    startedAt,
    now,
  }: { readonly isOver: boolean; readonly startedAt: Instant; readonly now: Instant },
): Action[] | undefined {
  const { serial, hasPower } = node;
  if (node.order === 'under way' || node.cycle === 'under way') return [];
  if (step.cycledAt !== undefined) {
    const isUnsure = node.cycle === undefined && now >= step.cycledAt + ANSWER_MS && !isOver;
    if (node.cycle === 'failed') return [{ kind: 'skip', serial, reason: 'its power could not be cycled' }];
    return isUnsure && hasPower ? [{ kind: 'cycle', serial }] : undefined;
  }
  // Also when the service was killed before it could note that: the node has gone down since.
  const isTaken = step.takenAt !== undefined || node.order === 'taken' || hasGoneDown(node, step);
  if (step.by === 'order' && isTaken) return undefined;
  const isLate = isOver || now >= Math.max(step.toldAt, startedAt) + ANSWER_MS;
  if (step.by === 'power' || node.order === 'unanswered' || (node.order === undefined && isLate)) {
    if (hasPower) return [{ kind: 'cycle', serial }];
    return [{ kind: 'skip', serial, reason: 'it took no order, and nothing switches its power' }];
  }
  return node.order === undefined && node.answers ? [{ kind: 'order', serial }] : [];
}

const hasGoneDown = ({ state, since }: NodeFacts, { toldAt }: StepOf<'told'>): boolean =>
  since >= toldAt && ['off', 'asked', 'loading', 'kernel'].includes(state);

function putBack({ rollout, facts, now }: Moment, node: NodeFacts, step: StepOf<'failed'>): Action[] {
  const { serial } = node;
  if (step.backAt !== undefined) {
    return rollout.state === 'running' && step.retryAt !== undefined ? [{ kind: 'again', serial }] : [];
  }
  const bootsOther = node.boot === undefined || node.boot.generation !== rollout.target;
  const runsOther = node.state === 'up' && node.runs !== undefined && node.runs !== rollout.target;
  const isUnseen = !facts.baseReports && node.boot?.gotKernel === true && node.boot.since >= step.toldAt;
  if (bootsOther && (runsOther || isUnseen)) return [{ kind: 'back', serial }];
  const waitMs = rollout.withinSeconds * 1000;
  if (rollout.state === 'running' && now >= (step.retryAt ?? step.failedAt) + waitMs) {
    return [{ kind: 'skip', serial, reason: 'it did not come back' }];
  }
  if (rollout.atNextBoot || node.order === 'under way' || node.cycle === 'under way') return [];
  if (bootsOther && (node.boot?.since ?? 0) >= step.failedAt) return []; // it boots the base already
  if (node.answers) return node.order === 'taken' ? [] : [{ kind: 'order', serial }];
  if (!node.hasPower || node.cycle !== undefined || node.order === 'taken') return [];
  const isUnsure = step.cycledAt !== undefined && now < step.cycledAt + ANSWER_MS;
  return isUnsure ? [] : [{ kind: 'cycle', serial }];
}

function tellNext(rollout: Rollout, facts: RolloutFacts, now: Instant): Action[] {
  const waiting = [...facts.nodes.values()].filter(({ serial }) => !facts.steps.has(serial));
  const there = waiting.filter((node) => runsTarget(rollout, facts, node) && !failsCheck(rollout, node));
  if (there.length > 0) {
    return there.map(({ serial, check }) => {
      return { kind: rollout.check === undefined || check?.passed ? 'done' : 'check', serial } as const;
    });
  }
  const isComing = (node: NodeFacts) => comesSoon(rollout, node, now);
  if (!rollout.atNextBoot) {
    const able = waiting.filter((node) => !isComing(node) && (node.answers || node.hasPower));
    const order = (node: NodeFacts) => (node.state === 'up' ? 0 : node.answers ? 1 : 2);
    const chosen = able
      .toSorted((a, b) => order(a) - order(b) || (a.name < b.name ? -1 : 1))
      .slice(0, roomFor(rollout, facts.steps.values()));
    if (chosen.length > 0) {
      return chosen.map(({ serial, answers }) => ({ kind: 'tell', serial, by: answers ? 'order' : 'power' }));
    }
  }
  if (waiting.some((node) => isComing(node) || (rollout.atNextBoot && node.answers))) return [];
  if ([...facts.steps.values()].some(({ state }) => state === 'done')) return [{ kind: 'finish' }];
  const none =
    facts.nodes.size === 0 ? 'the image has no node any more' : 'none of its nodes could be reached';
  return [{ kind: 'stop', reason: `${none}: nobody has tried ${rollout.target}` }];
}

/**
 * It boots, or was up when the service started: soon it answers, or its state tells that it does not. One that went off a
 * moment ago may be about to boot.
 */
function comesSoon({ withinSeconds }: Rollout, node: NodeFacts, now: Instant): boolean {
  if (node.state === 'up') return !node.answers;
  if (node.state === 'unhealthy') return node.hasReported && !node.answers;
  return node.state !== 'silent' && now < node.since + withinSeconds * 1000;
}

function runsTarget({ target }: Rollout, { targetReports }: RolloutFacts, node: NodeFacts): boolean {
  if (!targetReports) return node.boot?.generation === target && node.boot.gotKernel;
  return node.state === 'up' && node.runs === target;
}

/** It says itself that it runs the target, and that something is wrong with it. */
const isKnownBad = ({ target }: Rollout, { state, runs, answers }: NodeFacts): boolean =>
  state === 'unhealthy' && runs === target && answers;

const failsCheck = ({ check }: Rollout, node: NodeFacts): boolean =>
  check !== undefined && node.check?.passed === false;

const goneReason = ({ target }: Rollout): string => `${target} is no longer there, or is being removed`;

function reasonOf(
  rollout: Rollout,
  facts: RolloutFacts,
  node: NodeFacts,
  isHealthy: boolean,
  isOver: boolean,
): string {
  const within = `within ${formatSeconds(rollout.withinSeconds)}`;
  if (!isOver) return `unhealthy for ${formatSeconds(HOPELESS_MS / 1000)}: ${node.detail ?? 'it reports so'}`;
  if (isHealthy) return `its check did not pass ${within}: ${node.check?.text ?? 'no answer yet'}`;
  const detail = node.detail === undefined ? '' : `: ${node.detail}`;
  const runs = node.runs === undefined || node.runs === rollout.target ? '' : `, runs ${node.runs}`;
  const state = facts.targetReports ? `it is ${node.state}${detail}${runs}` : 'it has not got its kernel';
  return `not up ${within}: ${state}`;
}

/** `90s`, `5m`: as people give it. */
export function formatSeconds(seconds: number): string {
  if (seconds % 3600 === 0) return `${seconds / 3600}h`;
  return seconds % 60 === 0 ? `${seconds / 60}m` : `${seconds}s`;
}
