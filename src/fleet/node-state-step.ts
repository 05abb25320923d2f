import type { Instant } from '../model/lease.ts';
import { type Evidence, type NodeCondition, type NodeState, SILENT_MS } from '../model/node-state.ts';

/** Of firmware: it gives up sooner, or is switched off. */
const STALLED_MS = 5 * 60_000;
/** From the kernel to a system that is up. */
const LONGEST_START_MS = 10 * 60_000;
/** Of a report on its way. */
const SLACK_MS = 5000;
/** Failed units that a detail names. */
const MOST_NAMED = 4;

type Of<Kind extends Evidence['kind']> = Evidence & { readonly kind: Kind };

/**
 * What a node is after this piece of evidence. Gives the very same condition when that teaches nothing. The kernel's clock
 * (`now`) dates the change and decides nothing; the node's own clock is not read at all.
 */
export function stepNode(before: NodeCondition, evidence: Evidence, now: Instant): NodeCondition {
  switch (evidence.kind) {
    case 'asked':
      return enter(before, 'asked', now);
    case 'begun':
      return enter(before, 'loading', now, { bytes: 0 });
    case 'served':
      return afterServed(before, evidence, now);
    case 'kernel':
      return enter(before, 'kernel', now);
    case 'mounted':
      return isBelowRoot(before) ? enter(before, 'root mounted', now) : before;
    case 'report':
      return afterReport(before, evidence, now);
    case 'power':
      return afterPower(before, evidence, now);
    case 'tick':
      return afterTick(before, evidence, now);
  }
}

/** Files come after the kernel, too: an initramfs, or what somebody else looks at in the name of a node. */
function afterServed(before: NodeCondition, { bytes, ofBytes }: Of<'served'>, now: Instant): NodeCondition {
  const isLoading = ['off', 'asked', 'loading', 'silent'].includes(before.state) || hasStalled(before);
  return isLoading ? enter(before, 'loading', now, { bytes, ofBytes }) : before;
}

function afterReport(
  earlier: NodeCondition,
  { report, generation, target, sinceState }: Of<'report'>,
  now: Instant,
): NodeCondition {
  const before = { ...earlier, hasReported: true, report, reportedAt: now };
  if (report.state === 'stopping') return enter(before, 'off', now, { detail: 'it stopped in order' });
  const faults = [
    ...(generation === undefined || report.generation === generation
      ? []
      : [`it runs ${report.generation}, and was given ${generation}`]),
    ...(report.failed.length > 0 ? [`${namesOf(report.failed)} failed`] : []),
    ...(report.state === 'maintenance' ? ['its system is in maintenance mode'] : []),
    ...(report.state === 'degraded' && report.failed.length === 0 ? ['its system is degraded'] : []),
  ];
  const isStarting = report.state === 'initializing' || report.state === 'starting';
  if (!isStarting && target !== undefined && report.target === undefined)
    faults.push(`${target} is not active`);
  if (faults.length > 0) return enter(before, 'unhealthy', now, { detail: faults.join('; ') });
  if (!isStarting) return enter(before, 'up', now);
  // Within the boot that came up, `starting` means that a job runs, such as a change of role.
  const isSameBoot = report.uptime * 1000 + SLACK_MS >= sinceState;
  if ((earlier.state === 'up' && isSameBoot) || isOverdue(earlier)) return before;
  return enter(before, 'root mounted', now);
}

function afterPower(before: NodeCondition, { power }: Of<'power'>, now: Instant): NodeCondition {
  if (power === 'cut') return enter(before, 'off', now, { detail: 'its power was cut' });
  // Power is no sign of life: the node is where it was until it asks.
  return before.state === 'off' ? enter(before, 'off', now, { detail: 'its power was given' }) : before;
}

function afterTick(before: NodeCondition, tick: Of<'tick'>, now: Instant): NodeCondition {
  switch (before.state) {
    case 'asked':
    case 'loading': {
      if (tick.quiet < STALLED_MS) return before;
      const { bytes = 0, ofBytes } = before;
      const detail =
        before.state === 'asked'
          ? 'asked for an address, and fetched nothing'
          : `stopped loading${tick.lastFile === undefined ? '' : ` at ${tick.lastFile}`}`;
      return enter(before, 'unhealthy', now, { detail, bytes, ofBytes });
    }
    case 'kernel':
    case 'root mounted': {
      if (!tick.reports || tick.sinceKernel < LONGEST_START_MS) return before;
      const where =
        before.state === 'kernel'
          ? 'its root is not mounted'
          : before.hasReported
            ? 'its system still starts'
            : 'its root is mounted, and it does not report';
      return enter(before, 'unhealthy', now, { detail: `${OVERDUE}: ${where}` });
    }
    case 'up':
    case 'unhealthy': {
      const wasHeard = before.state === 'up' || before.hasReported;
      if (!tick.reports || !wasHeard || tick.sinceReport < SILENT_MS) return before;
      const was =
        before.state === 'unhealthy' && before.detail ? `it was unhealthy: ${before.detail}` : undefined;
      return enter(before, 'silent', now, { detail: was });
    }
    default:
      return before;
  }
}

function namesOf(units: readonly string[]): string {
  const rest = units.length - MOST_NAMED;
  return `${units.slice(0, MOST_NAMED).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

const OVERDUE = 'not up 10 minutes after its kernel';

const isOverdue = ({ state, detail }: NodeCondition): boolean =>
  state === 'unhealthy' && detail !== undefined && detail.startsWith(OVERDUE);

/** It stopped in the middle of its boot files. */
const hasStalled = ({ state, bytes }: NodeCondition): boolean => state === 'unhealthy' && bytes !== undefined;

const isBelowRoot = (condition: NodeCondition): boolean =>
  ['off', 'asked', 'loading', 'kernel', 'silent'].includes(condition.state) || hasStalled(condition);

type Particulars = Pick<NodeCondition, 'detail' | 'bytes' | 'ofBytes'>;

/** The last report stays to be read; that it reported in this boot holds until the next one begins. */
function enter(
  { hasReported, report, reportedAt, ...before }: NodeCondition,
  state: NodeState,
  now: Instant,
  { detail, bytes, ofBytes }: Particulars = {},
): NodeCondition {
  const isBoot = state === 'asked' || state === 'loading' || state === 'kernel' || state === 'off';
  return {
    state,
    since: before.state === state ? before.since : now,
    ...(detail === undefined ? {} : { detail }),
    ...(bytes === undefined ? {} : { bytes }),
    ...(ofBytes === undefined ? {} : { ofBytes }),
    ...(hasReported && !isBoot ? { hasReported } : {}),
    ...(report === undefined ? {} : { report, reportedAt }),
  };
}
