import { canReport, type StoredGeneration } from '../../model/generation.ts';
import type { Instant } from '../../model/lease.ts';
import type { Node } from '../../model/node.ts';
import type { NodeCondition, NodeState } from '../../model/node-state.ts';
import type { Serial } from '../../net/serial.ts';
import type { BootRecord, FallBack } from '../boots.ts';
import type { Attempts } from './attempts.ts';
import type { NodeFacts, RolloutFacts } from './plan.ts';
import type { Rollout, Step } from './rollout.ts';

export interface FactSources {
  readonly nodes: Iterable<Node>;
  readonly usable: (id: string | undefined) => StoredGeneration | undefined;
  readonly condition: (serial: Serial) => NodeCondition;
  readonly record: (serial: Serial) => BootRecord | undefined;
  readonly fallBack: (node: Node) => FallBack | undefined;
  readonly hasPower: (node: Node) => boolean;
  readonly attempts: Attempts;
}

/** It boots, as far as it tells: one that reports failures is up, well or not. */
export const isOnItsWay = (state: NodeState, hasReported: boolean): boolean =>
  state === 'unhealthy' ? !hasReported : !['up', 'off', 'silent'].includes(state);

/** What {@link plan} decides by, as of now. */
export function gatherFacts(
  rollout: Rollout,
  steps: ReadonlyMap<Serial, Step>,
  sources: FactSources,
  now: Instant,
): RolloutFacts {
  const target = sources.usable(rollout.target);
  const base = sources.usable(rollout.base);
  const nodes = [...sources.nodes].filter(({ image }) => image === rollout.image);
  return {
    nodes: new Map(nodes.map((node) => [node.serial, factsOf(node, rollout, steps, sources, now)])),
    steps,
    isTargetThere: target !== undefined,
    targetReports: target !== undefined && canReport(target),
    baseReports: base !== undefined && canReport(base),
  };
}

function factsOf(
  node: Node,
  { id }: Rollout,
  steps: ReadonlyMap<Serial, Step>,
  { usable, condition, record, fallBack, hasPower, attempts }: FactSources,
  now: Instant,
): NodeFacts {
  const { serial, name } = node;
  const { state, since, detail, report, hasReported = false } = condition(serial);
  const step = steps.get(serial);
  const attempt = attempts.of(id, serial, step);
  const boot = record(serial);
  const given = usable(boot?.generation);
  // Of one that cannot report, its kernel is the last that is known.
  const isThere = boot?.gotKernel && given !== undefined && !canReport(given);
  const isComing = !isThere && isOnItsWay(state, hasReported);
  const { stateFor, awayFor } = attempt.sees(state, since, now, isComing);
  const boots = attempt.hears(report?.uptime);
  const { order, cycle, trouble, failures, check } = attempt;
  return {
    serial,
    name,
    state,
    stateFor,
    awayFor,
    boots,
    stepFor: attempt.stepFor(),
    settledFor: attempt.settledFor(),
    detail,
    answers: hasReported && report !== undefined && state !== 'silent',
    hasReported,
    runs: hasReported ? report?.generation : undefined,
    boot: boot && { generation: boot.generation, since: boot.since, gotKernel: boot.gotKernel },
    hasFallenBack: step?.state === 'told' && fallBack(node) !== undefined,
    hasPower: hasPower(node),
    order,
    cycle,
    trouble,
    failures,
    check,
  };
}
