import type { Serial } from '../../net/serial.ts';
import type { CheckResult } from './check.ts';
import type { Step } from './rollout.ts';

/** What this run of the service does about a node in its present step, and what came of that. */
export interface Attempt {
  order?: 'under way' | 'taken' | 'unanswered';
  cycle?: 'under way' | 'done' | 'failed';
  check?: CheckResult;
  isChecked?: boolean;
  /** The step is over: what is under way is to end. */
  readonly over: AbortController;
}

/** The attempts of all rollouts. A restart forgets them, and the plan makes what is needed anew. */
export class Attempts {
  readonly #attempts = new Map<string, Attempt & { readonly step: string }>();

  of(rollout: string, serial: Serial, step: Step | undefined): Attempt {
    const key = `${rollout}/${serial}`;
    const name = nameOf(step);
    const present = this.#attempts.get(key);
    if (present?.step === name) return present;
    present?.over.abort();
    const attempt = { step: name, over: new AbortController() };
    this.#attempts.set(key, attempt);
    return attempt;
  }

  /** Nothing is done any more about nodes of rollouts that are not among these. */
  keepOnly(rollouts: ReadonlySet<string>): void {
    for (const [key, { over }] of this.#attempts) {
      if (rollouts.has(key.slice(0, key.lastIndexOf('/')))) continue;
      over.abort();
      this.#attempts.delete(key);
    }
  }
}

/** A node that is told again has a new step. */
function nameOf(step: Step | undefined): string {
  if (step?.state === 'told') return `told ${step.toldAt}`;
  return step?.state === 'failed' ? `failed ${step.failedAt}` : (step?.state ?? 'waiting');
}
