import { type Attempt, Attempts } from '../../../src/fleet/rollout/attempts.ts';
import { isOnItsWay } from '../../../src/fleet/rollout/facts.ts';
import {
  type Action,
  ANSWER_MS,
  type NodeFacts,
  plan,
  type RolloutFacts,
} from '../../../src/fleet/rollout/plan.ts';
import { isDown, type Rollout, type Step } from '../../../src/fleet/rollout/rollout.ts';
import { retried, stepAfter } from '../../../src/fleet/rollout/step-after.ts';
import { SILENT_MS } from '../../../src/model/node-state.ts';
import type { Serial } from '../../../src/net/serial.ts';

export const BASE = 'web-00000000000a';
export const TARGET = 'web-00000000000b';
export const SECOND = 1000;
export const MINUTE = 60 * SECOND;

/** How a machine takes what it is given. */
export interface Manner {
  /**
   * With the target: it comes up; its kernel does not; it reports failures; it asks for its files and stops. Or it is up, and
   * a minute later reports failures, hangs, or begins to boot anew, which it does again and again.
   */
  readonly target: 'good' | 'panics' | 'unhealthy' | 'no kernel' | 'sickens' | 'dies' | 'loops';
  readonly power: boolean;
  /** What becomes of a power cycle. */
  readonly cycle: 'works' | 'off fails' | 'on fails' | 'nobody answers';
  /** At the start. `loops`: until it is reset it never comes further than its kernel. */
  readonly state: 'up' | 'off' | 'silent' | 'loops';
  /** It takes no order although it reports. */
  readonly isDeaf: boolean;
  /** Seconds from the reset to being up. */
  readonly bootSeconds: number;
  readonly check: 'passes' | 'fails';
  /** Whatever it runs, it reports failures. */
  readonly isSick?: boolean;
}

export const GOOD: Manner = {
  target: 'good',
  power: false,
  cycle: 'works',
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
  /** When its system started, by the clock that nobody sets. */
  startedAt: number;
  /** How often it was reset, by whom ever. */
  resets: number;
}

/** A rack of machines, the stored part of a rollout, and what a run of the service knows beside it. */
export class World {
  /** Of the appliance's clock, that anybody may set; the other one goes on. */
  now = 1_000 * MINUTE;
  #elapsed = 0;
  /** From then on this run of the service has heard of all machines that report. */
  #heardFrom = 0;
  rollout: Rollout;
  steps = new Map<Serial, Step>();
  readonly machines = new Map<Serial, Machine>();
  pointers = new Set<Serial>();
  channel = BASE;
  /** They get what they ran last, whatever they are to boot. */
  readonly fallenBack = new Set<Serial>();
  isTargetThere = true;
  mostDown = 0;
  readonly acted: Action[] = [];
  #attempts = new Attempts(() => this.#elapsed);
  /** When an order under way comes to its end. */
  #settlesAt = new Map<Attempt, number>();
  /** Done nodes that were down when somebody was told. */
  #downBeside = new Set<Serial>();

  constructor(manners: readonly Manner[], options: Partial<Rollout> = {}) {
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
        state: startOf(manner),
        since: manner.state === 'loops' ? this.now : this.now - 60 * MINUTE,
        runs: manner.state === 'up' ? BASE : undefined,
        boot:
          manner.state === 'off'
            ? undefined
            : { generation: BASE, since: this.now - 61 * MINUTE, gotKernel: true },
        resetAt: undefined,
        startedAt: 0,
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
    if (this.fallenBack.has(serial)) return BASE;
    return this.pointers.has(serial) && this.isTargetThere ? TARGET : this.channel;
  }

  facts(): RolloutFacts {
    const nodes = [...this.machines].map(([serial, machine]): [Serial, NodeFacts] => {
      const attempt = this.#attempt(serial);
      const { state, since, runs, boot, manner } = machine;
      const hasReported = (state === 'up' || state === 'unhealthy') && runs !== undefined;
      const isComing = isOnItsWay(state, hasReported);
      const { stateFor, awayFor } = attempt.sees(state, since, this.now, isComing);
      const isHeard = hasReported && this.#elapsed >= this.#heardFrom;
      const boots = attempt.hears(isHeard ? (this.#elapsed - machine.startedAt) / 1000 : undefined);
      const { order, cycle, trouble, failures, check } = attempt;
      const answers = hasReported && this.#elapsed >= this.#heardFrom;
      return [
        serial,
        {
          serial,
          name: `pi-${serial}`,
          state,
          stateFor,
          awayFor,
          boots,
          stepFor: attempt.stepFor(),
          settledFor: attempt.settledFor(),
          answers,
          hasReported,
          runs: answers ? runs : undefined,
          boot,
          hasFallenBack: this.fallenBack.has(serial),
          hasPower: manner.power,
          order,
          cycle,
          trouble,
          failures,
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
    };
  }

  plan(): Action[] {
    return plan(this.rollout, this.facts());
  }

  /** Five seconds; first what the rollout does in that moment. */
  pass(): void {
    for (let round = 0; round < 4; round += 1) {
      const actions = this.plan();
      if (actions.length === 0) break;
      for (const action of actions) this.act(action);
    }
    const down = [...this.machines].filter(([serial, machine]) => this.#isDown(serial, machine)).length;
    this.mostDown = Math.max(this.mostDown, down);
    this.#wait();
  }

  #wait(): void {
    this.now += 5 * SECOND;
    this.#elapsed += 5 * SECOND;
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
    this.#attempts = new Attempts(() => this.#elapsed);
    this.#heardFrom = this.#elapsed + (seconds + 60) * SECOND;
    for (let count = 0; count < seconds / 5; count += 1) this.#wait();
    this.#attempts = new Attempts(() => this.#elapsed);
  }

  resume(): void {
    const { reason: _, ...rollout } = this.rollout;
    this.rollout = { ...rollout, state: 'running' };
    for (const [serial, step] of this.steps)
      if (step.state === 'failed') this.steps.set(serial, retried(step, this.now));
  }

  /**
   * It was up when the rollout began, and is not now. For those that go down behind a rollout it can do nothing but tell
   * nobody: they count beside those that were told all the same.
   */
  #isDown(serial: Serial, { manner, state }: Machine): boolean {
    const isWell = state === 'up' || (manner.isSick && state === 'unhealthy');
    if (manner.state !== 'up' || isWell) return false;
    return this.steps.get(serial)?.state !== 'done' || this.#downBeside.has(serial);
  }

  #noteDownBeside(): void {
    this.#downBeside.clear();
    for (const [serial, { state }] of this.machines)
      if (this.steps.get(serial)?.state === 'done' && state !== 'up' && state !== 'off')
        this.#downBeside.add(serial);
  }

  #attempt(serial: Serial): Attempt {
    return this.#attempts.of(this.rollout.id, serial, this.steps.get(serial));
  }

  act(action: Action): void {
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
      const takesMs = takes && !machine?.manner.isDeaf ? 5 * SECOND : ANSWER_MS;
      this.#settlesAt.set(attempt, this.#elapsed + takesMs);
      return;
    }
    if (action.kind === 'tell') this.#noteDownBeside();
    const { step, pointer } = stepAfter(action, this.steps.get(serial), this.now);
    if (step) this.steps.set(serial, step);
    else this.steps.delete(serial);
    if (pointer === 'to target') this.pointers.add(serial);
    if (pointer === 'away') this.pointers.delete(serial);
    if (action.kind === 'fail') this.rollout = { ...this.rollout, state: 'stopped', reason: action.reason };
    if (action.kind === 'cycle' && machine) {
      const { cycle } = machine.manner;
      const outcome = {
        works: 'done',
        'off fails': 'failed',
        'on fails': 'left off',
        'nobody answers': 'left off',
      } as const;
      this.#attempt(serial).settle({ cycle: outcome[cycle], trouble: cycle });
      if (cycle === 'works' || cycle === 'on fails') this.#reset(machine);
      if (cycle === 'on fails') machine.resetAt = undefined;
    }
  }

  #reset(machine: Machine): void {
    machine.state = 'off';
    machine.since = this.now;
    machine.runs = undefined;
    machine.resetAt = this.#elapsed;
    machine.startedAt = this.#elapsed;
    machine.resets += 1;
  }

  reboot(index: number): void {
    this.#reset(this.machine(index));
  }

  #live(serial: Serial, machine: Machine): void {
    const isLooping = machine.manner.state === 'loops' && machine.resets === 0;
    if (isLooping) this.#loop(serial, machine);
    const attempt = this.#attempt(serial);
    if (attempt.order === 'under way' && this.#elapsed >= (this.#settlesAt.get(attempt) ?? 0)) {
      const takes = (machine.state === 'up' || machine.state === 'unhealthy') && !machine.manner.isDeaf;
      attempt.settle({ order: takes ? 'taken' : 'unanswered' });
      if (takes) this.#reset(machine);
      const step = this.steps.get(serial);
      if (takes && (step?.state === 'told' || step?.state === 'failed'))
        this.steps.set(serial, { ...step, takenAt: this.now });
    }
    if (machine.resetAt === undefined) return;
    const { bootSeconds, target } = machine.manner;
    const elapsed = this.#elapsed - machine.resetAt;
    const enter = (state: NodeFacts['state']) => {
      machine.state = state;
      machine.since = this.now;
    };
    if ((machine.state === 'off' || machine.state === 'asked') && elapsed >= 5 * SECOND) {
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
      if (!isTarget || !['sickens', 'dies', 'loops'].includes(target)) machine.resetAt = undefined;
      const isSick = machine.manner.isSick || (isTarget && target === 'unhealthy');
      enter(isSick ? 'unhealthy' : 'up');
    } else if (machine.state === 'up' && elapsed >= bootSeconds * SECOND + MINUTE) {
      if (target === 'dies' && elapsed < bootSeconds * SECOND + MINUTE + SILENT_MS) return;
      machine.resetAt = target === 'loops' ? this.#elapsed : undefined;
      machine.startedAt = this.#elapsed;
      if (target !== 'sickens') machine.runs = undefined;
      enter(target === 'loops' ? 'asked' : target === 'dies' ? 'silent' : 'unhealthy');
    }
  }

  #loop(serial: Serial, machine: Machine): void {
    const { state, boot } = machine;
    machine.state = state === 'asked' ? 'loading' : state === 'loading' ? 'kernel' : 'asked';
    machine.since = this.now;
    if (machine.state === 'loading')
      machine.boot = { generation: this.intended(serial), since: this.now, gotKernel: false };
    else if (machine.state === 'kernel' && boot) machine.boot = { ...boot, gotKernel: true };
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

function startOf({ state, isSick }: Manner): Machine['state'] {
  if (state === 'loops') return 'asked';
  return isSick && state === 'up' ? 'unhealthy' : state;
}

export const many = (count: number, manner: Manner = GOOD): Manner[] =>
  Array.from({ length: count }, () => manner);

/** Of all machines, in order. */
export const statesOf = ({ steps, machines }: World): string =>
  [...machines.keys()].map((serial) => steps.get(serial)?.state ?? 'waiting').join(' ');
