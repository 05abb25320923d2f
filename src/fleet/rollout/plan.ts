import type { Instant } from '../../model/lease.ts';
import type { NodeState } from '../../model/node-state.ts';
import type { Serial } from '../../net/serial.ts';
import type { Attempt } from './attempts.ts';
import { isDown, isUnderWay, type Rollout, roomLeft, type Step, type StepOf } from './rollout.ts';

/** What is known of a node of the image at this moment. All time spans are milliseconds of a clock that nobody sets. */
export interface NodeFacts {
  readonly serial: Serial;
  readonly name: string;
  readonly state: NodeState;
  /** It is in that state. */
  readonly stateFor: number;
  /** It is on its way, through whatever states: neither up, well or not, nor off or silent. */
  readonly awayFor: number;
  /** How often it has booted in its step, in the last hour, by its reports. */
  readonly boots: number;
  /** This run of the service knows it in its step. */
  readonly stepFor: number;
  /** The last order or power cycle came to its end. */
  readonly settledFor: number | undefined;
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
  readonly order?: Attempt['order'] | undefined;
  readonly cycle?: Attempt['cycle'] | undefined;
  /** Why its power could not be cycled. */
  readonly trouble?: string | undefined;
  /** How often in a row an order or a power cycle came to nothing. */
  readonly failures: number;
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
}

export type Action =
  /** Moves the node to the target. How it gets to boot that comes next. */
  | {
      readonly kind: 'tell';
      readonly serial: Serial;
      readonly by: StepOf<'told'>['by'];
      /** `since` of its last boot. */
      readonly bootBefore: Instant | undefined;
    }
  | { readonly kind: 'order'; readonly serial: Serial }
  | { readonly kind: 'check'; readonly serial: Serial }
  | { readonly kind: 'cycle'; readonly serial: Serial }
  | { readonly kind: 'done' | 'back' | 'again'; readonly serial: Serial }
  | { readonly kind: 'fail' | 'leave'; readonly serial: Serial; readonly reason: string }
  | { readonly kind: 'skip'; readonly serial: Serial; readonly reason: string; readonly isDown: boolean }
  | { readonly kind: 'stop'; readonly reason: string }
  | { readonly kind: 'finish' };

/** Of a node that is done, in an hour: people may reboot it. */
const MOST_BOOTS = 2;

/** Of being unhealthy; what a node repairs by itself, as when it starts, it has repaired by then. */
const HOPELESS_MS = 60_000;

/** A node asks for orders all the time it is up; this leaves room for a connection that broke unnoticed. */
export const ANSWER_MS = 90_000;

/**
 * Until what failed to put a node back is tried again, twice as long each time, up to ten minutes: an order that was in the
 * way is over by then, and a broken switch is mended by people.
 */
const AGAIN_MS = 120_000;
const MOST_REST_MS = 600_000;

/**
 * What is to be done now. Says the same again as long as the facts stay the same, so that it does not matter how often it
 * was asked, nor whether the service was killed between two answers.
 *
 * Nobody new is told before all that were told are judged, so that never more are down than are told at once.
 */
export function plan(rollout: Rollout, facts: RolloutFacts): Action[] {
  if (rollout.state === 'aborted' || rollout.state === 'finished') return [];
  const judged = [...facts.steps].flatMap(([serial, step]) => {
    const node = facts.nodes.get(serial);
    if (!node) return leave(serial, step);
    switch (step.state) {
      case 'told':
        return judge(rollout, facts, node, step);
      case 'failed':
        return putBack(rollout, facts, node, step);
      case 'skipped':
        return step.isDown && rollout.state === 'running' && isThere(rollout, facts, node, step)
          ? again(node)
          : [];
      default:
        return [];
    }
  });
  if (rollout.state !== 'running' || isBusy(facts) || judged.length > 0) return judged;
  if (!facts.isTargetThere) return [{ kind: 'stop', reason: goneReason(rollout) }];
  const ailing = ailingOf(rollout, facts);
  if (rollout.atNextBoot) {
    const lost = lostAtNextBoot(rollout, facts).map(({ name }) => name);
    if (lost.length > rollout.batch)
      return [
        { kind: 'stop', reason: `more than the batch were up with it, and are not: ${lost.join(', ')}` },
      ];
  }
  if (ailing.length === 0) return tellNext(rollout, facts);
  // One is enough to stop. What ails all of them is no reason to reboot all of them.
  const late = ailing.flatMap((node) => failLate(rollout, node)).slice(0, 1);
  const stop = late.length > 0 ? stopForRoom(rollout, facts) : [];
  return stop.length > 0 ? stop : late;
}

/** Why nobody is told for now, in words, where that is for nodes that are done and ought to be up. */
export function waitsFor(rollout: Rollout, facts: RolloutFacts): string | undefined {
  if (rollout.state !== 'running' || isBusy(facts)) return undefined;
  const ailing = ailingOf(rollout, facts).map(({ name, state }) => `${name} (${state})`);
  return ailing.length === 0 ? undefined : `waits until they were up for long enough: ${ailing.join(', ')}`;
}

const isBusy = ({ steps }: RolloutFacts): boolean => [...steps.values()].some(isUnderWay);

const ailingOf = (rollout: Rollout, facts: RolloutFacts): NodeFacts[] =>
  doneOf(facts).filter((node) => !isStillWell(rollout, facts, node));

const doneOf = ({ nodes, steps }: RolloutFacts): NodeFacts[] =>
  [...nodes.values()].filter(({ serial }) => steps.get(serial)?.state === 'done');

function leave(serial: Serial, step: Step): Action[] {
  if (step.state === 'left' || (step.state === 'skipped' && !step.isDown)) return [];
  return [{ kind: 'leave', serial, reason: 'it was removed, or has another image now' }];
}

const again = ({ serial }: NodeFacts): Action[] => [{ kind: 'again', serial }];

/**
 * It was up with the target, and is so, or was switched off in order: one that reboots is off for a moment, too. Who has
 * booted since is up for as long as nodes take to boot first, or else a panic after each minute would show well between two.
 */
function isStillWell(rollout: Rollout, facts: RolloutFacts, node: NodeFacts): boolean {
  const { state, stateFor, boots } = node;
  if (state === 'off' || (state === 'silent' && rollout.atNextBoot)) return stateFor >= ANSWER_MS;
  if (!runsTarget(rollout, facts, node) || isRestless(node)) return false;
  return boots === 0 || stateFor >= rollout.withinSeconds * 1000;
}

/** People pull plugs, and not those of more nodes than the rollout may take down. */
const lostAtNextBoot = (rollout: Rollout, facts: RolloutFacts): NodeFacts[] =>
  doneOf(facts).filter((node) => {
    if (node.stepFor < ANSWER_MS) return false;
    return node.state === 'silent' || isRestless(node) || node.awayFor >= rollout.withinSeconds * 1000;
  });

/** It boots again and again. It is up for now, so it can be ordered back. */
const isRestless = ({ boots, answers }: NodeFacts): boolean => answers && boots > MOST_BOOTS;

/**
 * It was up with the target, and others were told for that. Nothing but to tell nobody, as long as it may come again. Where
 * people reboot the nodes, they also switch them off, and on again.
 */
function failLate(rollout: Rollout, node: NodeFacts): Action[] {
  const { serial, state, runs, boots, answers, stepFor, awayFor } = node;
  const fail = (what: string): Action[] => [{ kind: 'fail', serial, reason: `it was up, and ${what}` }];
  const detail = node.detail === undefined ? '' : `: ${node.detail}`;
  if (isKnownBad(rollout, node) && isHopeless(node))
    return fail(`became unhealthy${detail || ': it reports so'}`);
  if (answers && runs !== rollout.target) return fail(`runs ${runs} now`);
  if (rollout.atNextBoot) return [];
  if (state === 'up' && isRestless(node)) return fail(`booted ${boots} times in an hour`);
  if (stepFor < ANSWER_MS) return []; // it may be heard of in a moment
  if (state === 'silent') return fail(`fell silent${detail}`);
  const isOver = Math.min(stepFor, awayFor) >= rollout.withinSeconds * 1000;
  const within = `within ${formatSeconds(rollout.withinSeconds)}`;
  return isOver ? fail(`is not up again ${within}: it is ${state}${detail}`) : [];
}

/** It has begun to boot since it was told. */
const hasBooted = ({ boot }: NodeFacts, { bootBefore }: StepOf<'told' | 'failed' | 'skipped'>): boolean =>
  boot !== undefined && boot.since !== bootBefore;

/** It runs again as it did before, or, with the target, better than it was given up for. */
const isThere = (rollout: Rollout, facts: RolloutFacts, node: NodeFacts, step: StepOf<'skipped'>): boolean =>
  node.state === 'up' || isBack(rollout, facts, node, step);

/** It runs another generation than the target again. */
function isBack(
  { target, base }: Rollout,
  { baseReports }: RolloutFacts,
  node: NodeFacts,
  step: StepOf<'failed' | 'skipped'>,
): boolean {
  const { state, boot, runs } = node;
  if (boot?.generation === target) return false;
  if (!baseReports && boot?.gotKernel && hasBooted(node, step)) return true;
  if (state === 'up') return runs !== undefined && runs !== target;
  // Perhaps it was so before, too: the target is not to blame.
  return state === 'unhealthy' && runs !== undefined && runs === base;
}

function judge(rollout: Rollout, facts: RolloutFacts, node: NodeFacts, step: StepOf<'told'>): Action[] {
  const { serial, boot } = node;
  const fail = (reason: string): Action[] => [{ kind: 'fail', serial, reason }];
  if (!facts.isTargetThere) return fail(goneReason(rollout));
  const hasBegun = hasBooted(node, step);
  const boots = hasBegun && boot?.generation === rollout.target;
  if (hasBegun && !boots && node.hasFallenBack) return fail(`it fell back to ${boot?.generation}`);
  const isHealthy = boots && boot?.gotKernel === true && runsTarget(rollout, facts, node);
  if (isHealthy && (rollout.check === undefined || node.check?.passed)) return [{ kind: 'done', serial }];
  const waited = Math.min(node.stepFor, node.settledFor ?? node.stepFor);
  const isOver = waited >= rollout.withinSeconds * 1000;
  if (!boots && step.by !== 'itself') {
    const next = makeItBoot(node, step, isOver);
    if (next) return next;
  }
  if (isOver || (boots && isKnownBad(rollout, node) && isHopeless(node)))
    return fail(reasonOf(rollout, facts, node, isHealthy, isOver));
  return isHealthy ? [{ kind: 'check', serial }] : [];
}

/** What gets a node to boot that was told and does not; `undefined` when it is only to be waited for. */
function makeItBoot(node: NodeFacts, step: StepOf<'told'>, isOver: boolean): Action[] | undefined {
  const { serial, hasPower, order, cycle, trouble = '', stepFor } = node;
  const skip = (reason: string): Action[] => [{ kind: 'skip', serial, reason, isDown: false }];
  if (order === 'under way' || cycle === 'under way') return [];
  if (step.cycledAt !== undefined) {
    // One that was silent before is as it was; where the cut came through it is off.
    const isAsBefore = step.by === 'power' && node.state === 'silent';
    if (cycle === 'left off' && !isAsBefore)
      return [{ kind: 'fail', serial, reason: `its power could not be cycled, and may be off: ${trouble}` }];
    if (cycle === 'failed' || cycle === 'left off') return skip(`its power could not be cycled: ${trouble}`);
    const isUnsure = cycle === undefined && stepFor >= ANSWER_MS && !isOver;
    return isUnsure && hasPower ? [{ kind: 'cycle', serial }] : undefined;
  }
  // Also when the service was killed before it could note that: the node has gone down since.
  const isTaken = step.takenAt !== undefined || order === 'taken' || hasGoneDown(node);
  if (step.by === 'order' && isTaken) return undefined;
  const isLate = isOver || stepFor >= ANSWER_MS;
  if (step.by === 'power' || order === 'unanswered' || (order === undefined && isLate))
    return hasPower ? [{ kind: 'cycle', serial }] : skip('it took no order, and nothing switches its power');
  return order === undefined && node.answers ? [{ kind: 'order', serial }] : [];
}

/** It answered when it got its order, and has begun anew since. */
const hasGoneDown = ({ state }: NodeFacts): boolean => ['off', 'asked', 'loading', 'kernel'].includes(state);

const restMs = ({ failures }: NodeFacts): number =>
  Math.min(AGAIN_MS * 2 ** Math.max(0, failures - 1), MOST_REST_MS);

/** It reported to an earlier run of the service: within a minute it does so to this one. */
const isSoonHeard = ({ state, hasReported, answers }: NodeFacts): boolean =>
  hasReported && !answers && state !== 'silent';

/** It began to go back, and has been in one state for longer than all of that may take. */
const isStuck = ({ withinSeconds }: Rollout, { stateFor, stepFor, settledFor }: NodeFacts): boolean =>
  Math.min(stateFor, stepFor, settledFor ?? stepFor) >= Math.max(withinSeconds * 1000, ANSWER_MS);

function putBack(rollout: Rollout, facts: RolloutFacts, node: NodeFacts, step: StepOf<'failed'>): Action[] {
  const { serial, boot } = node;
  const isRunning = rollout.state === 'running';
  if (step.backAt !== undefined) return isRunning && step.retryAt !== undefined ? again(node) : [];
  if (isBack(rollout, facts, node, step)) return [{ kind: 'back', serial }];
  if (isRunning && node.stepFor >= rollout.withinSeconds * 1000)
    return [{ kind: 'skip', serial, reason: 'it did not come back', isDown: true }];
  if (rollout.atNextBoot || node.order === 'under way' || node.cycle === 'under way') return [];
  const bootsOther = boot?.generation !== rollout.target && hasBooted(node, step);
  if (bootsOther && node.answers) return []; // it runs something else already, however well
  const isTaken = step.takenAt !== undefined || node.order === 'taken';
  if ((bootsOther || isTaken) && !isStuck(rollout, node)) return [];
  if ((node.settledFor ?? restMs(node)) < restMs(node)) return [];
  if (node.stepFor < ANSWER_MS && (isSoonHeard(node) || (step.retryAt !== undefined && hasGoneDown(node))))
    return [];
  const isPowersTurn = node.hasPower && node.cycle !== 'done' && (!node.answers || node.order !== undefined);
  if (!isPowersTurn) return node.answers ? [{ kind: 'order', serial }] : [];
  const isUnsure = node.cycle === undefined && step.cycledAt !== undefined && node.stepFor < ANSWER_MS;
  return isUnsure ? [] : [{ kind: 'cycle', serial }];
}

function tellNext(rollout: Rollout, facts: RolloutFacts): Action[] {
  const waiting = [...facts.nodes.values()].filter(({ serial }) => !facts.steps.has(serial));
  const there = waiting.filter((node) => runsTarget(rollout, facts, node) && !failsCheck(rollout, node));
  if (there.length > 0) {
    return there.map(({ serial, check }) => {
      return { kind: rollout.check === undefined || check?.passed ? 'done' : 'check', serial } as const;
    });
  }
  const stop = stopForRoom(rollout, facts);
  if (rollout.atNextBoot && waiting.length > 0) return stop;
  const isComing = (node: NodeFacts) => comesSoon(rollout, node);
  const able = waiting.filter((node) => canBeTold(node) && !isComing(node));
  if (able.length > 0) return stop.length > 0 ? stop : tellSome(rollout, facts, able);
  if (waiting.some(isComing)) return [];
  if ([...facts.steps.values()].some(({ state }) => state === 'done')) return [{ kind: 'finish' }];
  const none =
    facts.nodes.size === 0 ? 'the image has no node any more' : 'none of its nodes could be reached';
  return [{ kind: 'stop', reason: `${none}: nobody has tried ${rollout.target}` }];
}

/** Those that were taken down and given up may be as many as may be down at all. */
function stopForRoom(rollout: Rollout, { nodes, steps }: RolloutFacts): Action[] {
  if (roomLeft(rollout, steps.values()) > 0) return [];
  const down = [...steps].filter(([, step]) => isDown(step)).map(([serial]) => nodes.get(serial)?.name);
  const reason = `no more nodes may be down beside ${down.join(', ')}: start or remove what did not come back`;
  return [{ kind: 'stop', reason }];
}

function tellSome(rollout: Rollout, { steps }: RolloutFacts, able: readonly NodeFacts[]): Action[] {
  const order = (node: NodeFacts) => (node.state === 'up' ? 0 : node.answers ? 1 : 2);
  return able
    .toSorted((a, b) => order(a) - order(b) || (a.name < b.name ? -1 : 1))
    .slice(0, roomLeft(rollout, steps.values()))
    .map(({ serial, answers, boot }) => {
      return { kind: 'tell', serial, by: answers ? 'order' : 'power', bootBefore: boot?.since };
    });
}

/** Who is off, or was switched off, is left so: it gets the generation when it boots. */
export const canBeTold = ({ state, answers, hasPower }: NodeFacts): boolean =>
  answers || (hasPower && state !== 'off');

/**
 * It boots, or was up when the service started: soon it answers, or its state tells that it does not. One that went off a
 * moment ago may be about to boot; one that boots again and again is not waited for longer than one that boots.
 */
function comesSoon({ withinSeconds }: Rollout, node: NodeFacts): boolean {
  if (node.state === 'up') return !node.answers;
  if (node.state === 'unhealthy') return node.hasReported && !node.answers;
  return node.state !== 'silent' && Math.max(node.stateFor, node.awayFor) < withinSeconds * 1000;
}

function runsTarget({ target }: Rollout, { targetReports }: RolloutFacts, node: NodeFacts): boolean {
  if (!targetReports) return node.boot?.generation === target && node.boot.gotKernel;
  return node.state === 'up' && node.runs === target;
}

/** It says itself that it runs the target, and that something is wrong with it. */
const isKnownBad = ({ target }: Rollout, { state, runs, answers }: NodeFacts): boolean =>
  state === 'unhealthy' && runs === target && answers;

const isHopeless = ({ stateFor }: NodeFacts): boolean => stateFor >= HOPELESS_MS;

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
