import {
  type Action,
  ANSWER_MS,
  type NodeFacts,
  plan,
  type RolloutFacts,
} from '../../../src/fleet/rollout/plan.ts';
import { isDown, type Rollout, type Step } from '../../../src/fleet/rollout/rollout.ts';
import { stepAfter } from '../../../src/fleet/rollout/step-after.ts';
import type { Serial } from '../../../src/net/serial.ts';

export const BASE = 'web-00000000000a';
export const TARGET = 'web-00000000000b';
export const SECOND = 1000;
export const MINUTE = 60 * SECOND;

/** How a machine takes what it is given. */
export interface Manner {
  /** With the target: it comes up; its kernel does not; it reports failures; it asks for its files and stops. */
  readonly target: 'good' | 'panics' | 'unhealthy' | 'no kernel';
  readonly power: boolean;
  /** At the start. */
  readonly state: 'up' | 'off' | 'silent';
  /** It takes no order although it reports. */
  readonly isDeaf: boolean;
  /** Seconds from the reset to being up. */
  readonly bootSeconds: number;
  readonly check: 'passes' | 'fails';
}

export const GOOD: Manner = {
  target: 'good',
  power: false,
  state: 'up',
  isDeaf: false,
  bootSeconds: 40,
  check: 'passes',
};

interface Machine {
  readonly manner: Manner;
  state: NodeFacts['state'];
  since: number;
  runs: string | undefined;
  boot: { generation: string; since: number; gotKernel: boolean } | undefined;
  resetAt: number | undefined;
  /** How often it was reset, by whom ever. */
  resets: number;
}

interface Attempt {
  step: string;
  order?: 'under way' | 'taken' | 'unanswered';
  cycle?: 'under way' | 'done' | 'failed';
  check?: { passed: boolean; text: string };
  settlesAt?: number;
}

/** A rack of machines, the stored part of a rollout, and what a run of the service knows beside it. */
export class World {
  now = 1_000 * MINUTE;
  rollout: Rollout;
  steps = new Map<Serial, Step>();
  readonly machines = new Map<Serial, Machine>();
  pointers = new Set<Serial>();
  channel = BASE;
  isTargetThere = true;
  mostDown = 0;
  readonly acted: Action[] = [];
  #attempts = new Map<Serial, Attempt>();
  #startedAt: number;

  constructor(manners: readonly Manner[], options: Partial<Rollout> = {}) {
    this.#startedAt = this.now;
    this.rollout = {
      id: 'web.1',
      image: 'web',
      target: TARGET,
      base: BASE,
      canary: 1,
      batch: 1,
      withinSeconds: 300,
      atNextBoot: false,
      state: 'running',
      startedAt: this.now,
      ...options,
    };
    manners.forEach((manner, index) => {
      this.machines.set((0x10000000 + index).toString(16) as Serial, {
        manner,
        state: manner.state,
        since: this.now - 60 * MINUTE,
        runs: manner.state === 'up' ? BASE : undefined,
        boot:
          manner.state === 'off'
            ? undefined
            : { generation: BASE, since: this.now - 61 * MINUTE, gotKernel: true },
        resetAt: undefined,
        resets: 0,
      });
    });
  }

  serials(): Serial[] {
    return [...this.machines.keys()];
  }

  step(index: number): Step | undefined {
    return this.steps.get(this.serials()[index] as Serial);
  }

  machine(index: number): Machine {
    return this.machines.get(this.serials()[index] as Serial) as Machine;
  }

  /** What the machine would boot. */
  intended(serial: Serial): string {
    return this.pointers.has(serial) && this.isTargetThere ? TARGET : this.channel;
  }

  facts(): RolloutFacts {
    const nodes = [...this.machines].map(([serial, machine]): [Serial, NodeFacts] => {
      const { order, cycle, check } = this.#attempt(serial);
      const { state, since, runs, boot, manner } = machine;
      const isHeard = state === 'up' || state === 'unhealthy';
      return [
        serial,
        {
          serial,
          name: `pi-${serial}`,
          state,
          since,
          answers: isHeard && runs !== undefined,
          hasReported: isHeard && runs !== undefined,
          runs: isHeard ? runs : undefined,
          boot,
          hasFallenBack: false,
          hasPower: manner.power,
          order,
          cycle,
          check,
        },
      ];
    });
    return {
      nodes: new Map(nodes),
      steps: this.steps,
      isTargetThere: this.isTargetThere,
      targetReports: true,
      baseReports: true,
      startedAt: this.#startedAt,
    };
  }

  plan(): Action[] {
    return plan(this.rollout, this.facts(), this.now);
  }

  /** Five seconds; first what the rollout does in that moment. */
  pass(): void {
    for (let round = 0; round < 4; round += 1) {
      const actions = this.plan();
      if (actions.length === 0) break;
      for (const action of actions) this.#act(action);
    }
    const down = [...this.machines].filter(([serial, machine]) => this.#isDown(serial, machine)).length;
    this.mostDown = Math.max(this.mostDown, down);
    this.now += 5 * SECOND;
    for (const [serial, machine] of this.machines) this.#live(serial, machine);
  }

  passUntilOver(minutes = 24 * 60): void {
    const until = this.now + minutes * MINUTE;
    while (this.rollout.state === 'running' && this.now < until) this.pass();
  }

  passMinutes(minutes: number): void {
    for (let count = 0; count < minutes * 12; count += 1) this.pass();
  }

  /** The service is killed: what is stored stays, what it had under way ends, machines go on. */
  kill(seconds = 10): void {
    this.steps = structuredClone(this.steps);
    this.rollout = structuredClone(this.rollout);
    this.#attempts = new Map();
    for (let count = 0; count < seconds / 5; count += 1) {
      this.now += 5 * SECOND;
      for (const [serial, machine] of this.machines) this.#live(serial, machine);
    }
    this.#startedAt = this.now;
  }

  resume(): void {
    const { reason: _, ...rollout } = this.rollout;
    this.rollout = { ...rollout, state: 'running' };
    for (const [serial, step] of this.steps)
      if (step.state === 'failed') this.steps.set(serial, { ...step, retryAt: this.now });
  }

  /** It was up when the rollout began, and is not now. */
  #isDown(serial: Serial, { manner, state }: Machine): boolean {
    const step = this.steps.get(serial);
    return manner.state === 'up' && state !== 'up' && step?.state !== 'skipped';
  }

  #attempt(serial: Serial): Attempt {
    const step = this.steps.get(serial);
    const name =
      step?.state === 'told'
        ? `told ${step.toldAt}`
        : step?.state === 'failed'
          ? `failed ${step.failedAt}`
          : (step?.state ?? 'waiting');
    const present = this.#attempts.get(serial);
    if (present?.step === name) return present;
    const attempt: Attempt = { step: name };
    this.#attempts.set(serial, attempt);
    return attempt;
  }

  #act(action: Action): void {
    this.acted.push(action);
    if (action.kind === 'stop') {
      this.rollout = { ...this.rollout, state: 'stopped', reason: action.reason };
      return;
    }
    if (action.kind === 'finish') {
      this.rollout = { ...this.rollout, state: 'finished' };
      this.channel = TARGET;
      this.pointers.clear();
      return;
    }
    const { serial } = action;
    const machine = this.machines.get(serial);
    if (action.kind === 'check') {
      const passed = machine?.manner.check === 'passes';
      this.#attempt(serial).check = { passed, text: passed ? 'answers 200' : 'answers 500' };
      return;
    }
    if (action.kind === 'order') {
      const attempt = this.#attempt(serial);
      attempt.order = 'under way';
      const takes = machine?.state === 'up' || machine?.state === 'unhealthy';
      attempt.settlesAt = this.now + (takes && !machine?.manner.isDeaf ? 5 * SECOND : ANSWER_MS);
      return;
    }
    const { step, pointer } = stepAfter(action, this.steps.get(serial), this.now);
    if (step) this.steps.set(serial, step);
    else this.steps.delete(serial);
    if (pointer === 'to target') this.pointers.add(serial);
    if (pointer === 'away') this.pointers.delete(serial);
    if (action.kind === 'fail') this.rollout = { ...this.rollout, state: 'stopped', reason: action.reason };
    if (action.kind === 'cycle' && machine) {
      this.#attempt(serial).cycle = 'done';
      this.#reset(machine);
    }
  }

  #reset(machine: Machine): void {
    machine.state = 'off';
    machine.since = this.now;
    machine.runs = undefined;
    machine.resetAt = this.now;
    machine.resets += 1;
  }

  reboot(index: number): void {
    this.#reset(this.machine(index));
  }

  #live(serial: Serial, machine: Machine): void {
    const attempt = this.#attempt(serial);
    if (attempt.order === 'under way' && this.now >= (attempt.settlesAt ?? 0)) {
      const takes = (machine.state === 'up' || machine.state === 'unhealthy') && !machine.manner.isDeaf;
      attempt.order = takes ? 'taken' : 'unanswered';
      if (takes) this.#reset(machine);
      const step = this.steps.get(serial);
      if (takes && step?.state === 'told') this.steps.set(serial, { ...step, takenAt: this.now });
    }
    if (machine.resetAt === undefined) return;
    const { bootSeconds, target } = machine.manner;
    const elapsed = this.now - machine.resetAt;
    const enter = (state: NodeFacts['state']) => {
      machine.state = state;
      machine.since = this.now;
    };
    if (machine.state === 'off' && elapsed >= 5 * SECOND) {
      const generation = this.intended(serial);
      machine.boot = { generation, since: this.now, gotKernel: false };
      enter('loading');
      const rollout = this.rollout;
      if (rollout.atNextBoot && rollout.state === 'running') this.#claim(serial);
    } else if (machine.state === 'loading' && machine.boot && elapsed >= (bootSeconds / 2) * SECOND) {
      if (machine.boot.generation === TARGET && target === 'no kernel') return;
      machine.boot = { ...machine.boot, gotKernel: true };
      enter('kernel');
    } else if (machine.state === 'kernel' && machine.boot && elapsed >= bootSeconds * SECOND) {
      const isTarget = machine.boot.generation === TARGET;
      if (isTarget && target === 'panics') return;
      machine.runs = machine.boot.generation;
      machine.resetAt = undefined;
      enter(isTarget && target === 'unhealthy' ? 'unhealthy' : 'up');
    }
  }

  /** As the book does when a boot begins. */
  #claim(serial: Serial): void {
    const down = [...this.steps.values()].filter(isDown).length;
    const done = [...this.steps.values()].filter(({ state }) => state === 'done').length;
    const { canary, batch } = this.rollout;
    const machine = this.machines.get(serial);
    if (this.steps.has(serial) || down >= (done < canary ? canary - done : batch) || !machine?.boot) return;
    this.steps.set(serial, { state: 'told', toldAt: this.now, by: 'itself' });
    this.pointers.add(serial);
    machine.boot = { ...machine.boot, generation: TARGET };
  }
}
