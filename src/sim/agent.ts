import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Serial } from '../net/serial.ts';
import { type Answer, type Appliance, call, restOf } from './agent-call.ts';

/** What it tells of itself; asked for anew for each report. */
export interface AgentCondition {
  readonly state: 'starting' | 'running' | 'degraded' | 'maintenance';
  readonly failed?: readonly string[];
  /** The target that is active. */
  readonly target?: string | undefined;
}

export type AgentEvent =
  | { readonly kind: 'identity'; readonly hostKey: string; readonly files: readonly string[] }
  | { readonly kind: 'reported'; readonly state: string }
  | { readonly kind: 'order'; readonly order: string }
  /** What was not taken, and why. */
  | { readonly kind: 'trouble'; readonly text: string };

export interface AgentOptions extends Appliance {
  readonly serial: Serial;
  /** Of its command line: proves who it is, once. */
  readonly token: string;
  readonly generation: string;
  /** `readonly` unless told. */
  readonly root?: string;
  readonly condition: () => AgentCondition;
  /** It was ordered to isolate this target. */
  readonly isolate?: (target: string) => void;
  /** Seconds since 1970 by its own clock; the machine's unless told. */
  readonly clock?: () => number;
  /** How long an order may be waited for; 60 s unless told, as a real node does. */
  readonly waitSeconds?: number;
  /** Factor for its own pauses; 1 is a real node. */
  readonly timeScale?: number;
  readonly report?: (event: AgentEvent) => void;
  /** Aborted: its power is cut, and nothing more is said. */
  readonly signal: AbortSignal;
}

const STARTING_MS = 3_000;
const AGAIN_MS = 3_000;
const REFUSED_MS = 30_000;
const WAIT_SECONDS = 60;

/**
 * A booted node as the appliance sees it: it fetches its identity, reports, and obeys. Many can run in one process, each
 * with an address of its own.
 * @returns when it was ordered to reboot and has said that it stops, or `signal` was aborted.
 */
export async function runAgent(options: AgentOptions): Promise<'reboot' | 'cut'> {
  const agent = new Agent(options);
  return (await agent.live()) ? 'reboot' : 'cut';
}

class Agent {
  readonly #options: AgentOptions;
  readonly #startedAt = performance.now();
  #key = '';
  #run = '';
  #seq = 0;
  /** The order it has carried out and not told of yet. */
  #done: string | undefined;

  constructor(options: AgentOptions) {
    this.#options = options;
  }

  /** @returns whether it is to reboot. */
  async live(): Promise<boolean> {
    if (!(await this.#fetchIdentity())) return false;
    while (!this.#options.signal.aborted) {
      const { state } = this.#options.condition();
      const order = await this.#report(state, state === 'starting' ? 0 : this.#waitSeconds);
      if (order === undefined) {
        if (state === 'starting') await this.#pause(STARTING_MS);
        continue;
      }
      const [id = '', verb, target] = order.split(' ');
      this.#tell({ kind: 'order', order });
      this.#done = id;
      if (verb === 'isolate' && target !== undefined) this.#options.isolate?.(target);
      else if (verb === 'reboot') {
        await this.#report('stopping', 0);
        return !this.#options.signal.aborted;
      } else this.#tell({ kind: 'trouble', text: `an order that nobody understands: ${order}` });
    }
    return false;
  }

  get #waitSeconds(): number {
    return this.#options.waitSeconds ?? WAIT_SECONDS;
  }

  async #fetchIdentity(): Promise<boolean> {
    const { serial, token, signal } = this.#options;
    const since = token.split('.')[0] ?? '';
    const nonce = randomBytes(16).toString('hex');
    const lines = [`serial ${serial}`, `since ${since}`, `nonce ${nonce}`];
    while (!signal.aborted) {
      const answer = await call(this.#options, '/v1/identity', lines, token, { asRoot: true, signal });
      const key = answer.kind === 'ok' ? restOf(answer.lines, 'report-key') : undefined;
      if (answer.kind !== 'ok' || key === undefined) {
        await this.#rest(answer);
        continue;
      }
      this.#key = key;
      this.#run = restOf(answer.lines, 'run') ?? '';
      const files = answer.lines.filter(([name]) => name === 'file').map(([, rest]) => rest);
      this.#tell({ kind: 'identity', hostKey: restOf(answer.lines, 'host-key-public') ?? '', files });
      return true;
    }
    return false;
  }

  /** One report, until it is taken. @returns the order that came with the answer. */
  async #report(state: string, waitSeconds: number): Promise<string | undefined> {
    const { signal } = this.#options;
    for (let conflicts = 0; !signal.aborted; ) {
      this.#seq += 1;
      const lines = this.#lines(state, waitSeconds);
      const done = this.#done;
      const answer = await call(this.#options, '/v1/report', lines, this.#key, { waitSeconds, signal });
      if (answer.kind === 'conflict') {
        this.#run = restOf(answer.lines, 'run') ?? this.#run;
        this.#seq = Number(restOf(answer.lines, 'seq') ?? this.#seq);
        conflicts += 1;
        if (conflicts > 1) await this.#rest(answer);
        continue;
      }
      if (answer.kind === 'ok') {
        this.#run = restOf(answer.lines, 'run') ?? this.#run;
        if (this.#done === done) this.#done = undefined;
        this.#tell({ kind: 'reported', state });
        return restOf(answer.lines, 'order');
      }
      if (state === 'stopping') return undefined; // a system that goes down waits for nobody
      await this.#rest(answer);
    }
    return undefined;
  }

  #lines(state: string, waitSeconds: number): string[] {
    const { serial, generation, root = 'readonly', clock = () => Date.now() / 1000 } = this.#options;
    const { failed = [], target } = this.#options.condition();
    return [
      `serial ${serial}`,
      `run ${this.#run}`,
      `seq ${this.#seq}`,
      `wait ${waitSeconds}`,
      `generation ${generation}`,
      `root ${root}`,
      `uptime ${((performance.now() - this.#startedAt) / 1000).toFixed(2)}`,
      `clock ${Math.floor(clock())}`,
      `state ${state}`,
      ...(failed.length > 0 ? [`failed ${failed.join(' ')}`] : []),
      ...(target === undefined ? [] : [`target ${target}`]),
      'memory 948304 812044',
      'temperature 47.2',
      'throttled 0',
      ...(root === 'private' ? ['disk 2147483648 2000000000'] : []),
      ...(this.#done === undefined ? [] : [`done ${this.#done}`]),
    ];
  }

  async #rest(answer: Answer): Promise<void> {
    if (this.#options.signal.aborted) return;
    switch (answer.kind) {
      case 'refused':
        this.#tell({ kind: 'trouble', text: `refused (${answer.status}): ${answer.reason}` });
        return this.#pause(REFUSED_MS);
      case 'forged':
        this.#tell({ kind: 'trouble', text: 'an answer without the right MAC: not believed' });
        return this.#pause(AGAIN_MS);
      case 'unreachable':
        this.#tell({ kind: 'trouble', text: answer.reason });
        return this.#pause(AGAIN_MS);
      default:
        this.#tell({ kind: 'trouble', text: `an answer that makes no sense (${answer.kind})` });
        return this.#pause(AGAIN_MS);
    }
  }

  async #pause(ms: number): Promise<void> {
    const { signal, timeScale = 1 } = this.#options;
    await sleep(ms * timeScale, undefined, { signal }).catch(() => {});
  }

  #tell(event: AgentEvent): void {
    this.#options.report?.(event);
  }
}
