import type { Instant } from '../../model/lease.ts';
import type { NodeState } from '../../model/node-state.ts';
import type { Serial } from '../../net/serial.ts';
import type { CheckResult } from './check.ts';
import type { Step } from './rollout.ts';

const HOUR_MS = 3_600_000;
/** A report may be looked at so much later than it was made. No boot is as fast. */
const LATE_MS = 15_000;

/** `left off`: it may have no power now. `failed`: nothing was cut. */
export type CycleOutcome = 'done' | 'failed' | 'left off';

/**
 * What this run of the service does about a node in its present step, and what came of that. Its times are milliseconds of
 * a clock that nobody sets, and begin anew when the service does.
 */
export class Attempt {
  order?: 'under way' | 'taken' | 'unanswered';
  cycle?: 'under way' | CycleOutcome;
  /** Why its power could not be cycled. */
  trouble?: string;
  /** How often in a row an order or a cycle came to nothing. */
  failures = 0;
  check?: CheckResult;
  /** Its check is asked, as long as it stays as well as it is. */
  asking?: AbortController;
  /** The step is over: what is under way is to end. */
  readonly over = new AbortController();
  readonly #elapsed: () => number;
  readonly #begunAt: number;
  #settledAt: number | undefined;
  #seen: Seen | undefined;
  #uptime: number | undefined;
  /** When its system started, by its last report. */
  #startedAt: number | undefined;
  /** When it was seen that the node has booted. */
  #bootsAt: number[] = [];

  constructor(elapsed: () => number, before?: Attempt) {
    this.#elapsed = elapsed;
    this.#begunAt = elapsed();
    if (before) this.#seen = before.#seen;
  }

  /** Since this run of the service first saw the step. */
  stepFor(): number {
    return this.#elapsed() - this.#begunAt;
  }

  /** Since the last order or cycle came to its end. */
  settledFor(): number | undefined {
    return this.#settledAt === undefined ? undefined : this.#elapsed() - this.#settledAt;
  }

  settle(outcome: { order: 'taken' | 'unanswered' } | { cycle: CycleOutcome; trouble?: string }): void {
    Object.assign(this, outcome);
    const isFailure = 'order' in outcome ? outcome.order === 'unanswered' : outcome.cycle !== 'done';
    this.failures = isFailure ? this.failures + 1 : 0;
    this.#settledAt = this.#elapsed();
  }

  /**
   * The node is in this state now. What its check said holds until it leaves it.
   * @param isOnItsWay it boots, as far as anybody can tell.
   * @returns for how long it is in that state, and for how long it is on its way.
   */
  sees(
    state: NodeState,
    since: Instant,
    now: Instant,
    isOnItsWay: boolean,
  ): { readonly stateFor: number; readonly awayFor: number } {
    const elapsed = this.#elapsed();
    const before = this.#seen;
    let seen = before;
    if (seen?.state !== state || seen.since !== since) {
      // Of what was before the first look there is no other clock.
      const at = before ? elapsed : elapsed - Math.max(0, now - since);
      seen = { state, since, at, leftAt: before?.leftAt ?? at };
      this.asking?.abort();
      delete this.asking;
      delete this.check;
    }
    if (!isOnItsWay) seen = { ...seen, leftAt: elapsed };
    this.#seen = seen;
    return { stateFor: elapsed - seen.at, awayFor: elapsed - seen.leftAt };
  }

  /**
   * The node's last report: a system that started later than before is another boot. Whoever fetches boot files in its name
   * is none.
   * @param uptime in seconds.
   * @returns how often it has booted in this step, in the last hour.
   */
  hears(uptime: number | undefined): number {
    const elapsed = this.#elapsed();
    if (uptime !== undefined && uptime !== this.#uptime) {
      const startedAt = elapsed - uptime * 1000;
      if (this.#startedAt !== undefined && startedAt - this.#startedAt > LATE_MS) this.#bootsAt.push(elapsed);
      this.#startedAt = startedAt;
      this.#uptime = uptime;
    }
    this.#bootsAt = this.#bootsAt.filter((at) => elapsed - at < HOUR_MS);
    return this.#bootsAt.length;
  }
}

interface Seen {
  readonly state: NodeState;
  readonly since: Instant;
  readonly at: number;
  /** When it was not on its way last. */
  readonly leftAt: number;
}

/** The attempts of all rollouts. A restart forgets them, and the plan makes what is needed anew. */
export class Attempts {
  readonly #attempts = new Map<string, { readonly step: string; readonly attempt: Attempt }>();
  readonly #elapsed: () => number;

  constructor(elapsed: () => number = () => performance.now()) {
    this.#elapsed = elapsed;
  }

  of(rollout: string, serial: Serial, step: Step | undefined): Attempt {
    const key = `${rollout}/${serial}`;
    const name = nameOf(step);
    const present = this.#attempts.get(key);
    if (present?.step === name) return present.attempt;
    present?.attempt.over.abort();
    const attempt = new Attempt(this.#elapsed, present?.attempt);
    this.#attempts.set(key, { step: name, attempt });
    return attempt;
  }

  /** Nothing is done any more about nodes of rollouts that are not among these. */
  keepOnly(rollouts: ReadonlySet<string>): void {
    for (const [key, { attempt }] of this.#attempts) {
      if (rollouts.has(key.slice(0, key.lastIndexOf('/')))) continue;
      attempt.over.abort();
      this.#attempts.delete(key);
    }
  }
}

/** A node that is told again has a new step, and one that is to be tried again another attempt at putting it back. */
function nameOf(step: Step | undefined): string {
  if (step?.state === 'told') return `told ${step.toldAt}`;
  if (step?.state === 'failed') return `failed ${step.failedAt} ${step.retryAt ?? ''}`;
  return step?.state ?? 'waiting';
}
