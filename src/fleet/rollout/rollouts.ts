import { Refusal } from '../../model/command.ts';
import type { Instant } from '../../model/lease.ts';
import type { Log } from '../../model/log.ts';
import type { Node } from '../../model/node.ts';
import { oneAtATime } from '../../model/one-at-a-time.ts';
import type { Order } from '../../model/report.ts';
import { throttle } from '../../model/throttle.ts';
import type { Ipv4 } from '../../net/ipv4.ts';
import type { Serial } from '../../net/serial.ts';
import { type Assignment, assign, unassign } from '../assignments.ts';
import type { FleetEvent } from '../events.ts';
import type { Fleet } from '../fleet.ts';
import type { Power } from '../power.ts';
import type { Write } from '../store.ts';
import { Attempts } from './attempts.ts';
import type { Entry } from './book.ts';
import type { Ask } from './check.ts';
import { gatherFacts } from './facts.ts';
import { Hands } from './hands.ts';
import { type Action, plan, type RolloutFacts } from './plan.ts';
import { assignmentFor, type Rollout, type Step } from './rollout.ts';
import { baseOf, mustBeFree, type RolloutRequest, settle } from './start.ts';
import { retried, type StepAction, stepAfter } from './step-after.ts';

export interface RolloutsPorts {
  readonly fleet: Fleet;
  /** All that a rollout changes goes through here, in one transaction per step. */
  readonly transact: (writes: readonly Write[]) => Promise<unknown>;
  /** Resolves when the node has taken it. @throws Refusal when it does not. */
  readonly send: (node: Node, order: Order, options: { readonly signal: AbortSignal }) => Promise<void>;
  readonly power: Pick<Power, 'can' | 'switch'>;
  readonly addressOf: (node: Node) => Ipv4 | undefined;
  readonly ask: Ask;
  readonly log: Log;
  readonly now?: () => Instant;
}

type What = (FleetEvent & { kind: 'rollout' })['what'];

/** What goes with the step by which a node failed. */
interface Failure extends Pick<Entry, 'steps'> {
  readonly beside?: readonly Write[];
  readonly tellFirst?: () => void;
}

/** What is told of a node's step, and how it is said where no reason is. */
const TOLD: Partial<Record<StepAction['kind'], { what: What; text: (rollout: Rollout) => string }>> = {
  tell: { what: 'node told', text: ({ target }) => `to boot ${target}` },
  done: { what: 'node done', text: ({ target }) => `up with ${target}` },
  back: { what: 'node put back', text: ({ base }) => `runs ${base ?? 'what it ran before'} again` },
  skip: { what: 'node skipped', text: () => '' },
  leave: { what: 'node left', text: () => '' },
};

const TICK_MS = 1000;
/** A step mostly has another one behind it that need not wait. */
const MOST_ROUNDS = 4;
const LINES_INTERVAL_MS = 10_000;

/**
 * Moves the nodes of images to other generations. What is to be done is said by {@link plan}, from what is stored and from how
 * the nodes are; each step is durable before anything is done about it, so that whoever is killed goes on where it was.
 */
export class Rollouts {
  readonly #ports: RolloutsPorts;
  readonly #now: () => Instant;
  readonly #attempts = new Attempts();
  readonly #hands: Hands;
  readonly #inTurn = oneAtATime();
  /** Rollouts that cannot go on → why, in words. */
  readonly #heldUp = new Map<string, string>();
  readonly #failures: (tell: (left: number) => void) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(ports: RolloutsPorts) {
    this.#ports = ports;
    this.#now = ports.now ?? Date.now;
    this.#hands = new Hands(ports);
    this.#failures = throttle(LINES_INTERVAL_MS, this.#now);
  }

  /** Goes on with what an earlier run of the service had begun. */
  run(): void {
    const again = () => {
      this.#timer = setTimeout(() => void this.tick().then(again), TICK_MS);
    };
    again();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#inTurn(async () => {
      clearTimeout(this.#timer);
      this.#attempts.keepOnly(new Set());
    });
  }

  /**
   * Begins to move the image's nodes. Its channel stays at, or goes back to, another generation until all are moved.
   * @throws Refusal when there is nothing to move them to, nothing to move, or another rollout has them.
   */
  start(image: string, request: RolloutRequest): Promise<Rollout> {
    return this.#inTurn(async () => {
      const { fleet } = this.#ports;
      const { channels, rollouts: book } = fleet;
      mustBeFree(book.activeOf(image));
      const target = await fleet.wholeGeneration(image, request.to);
      return fleet.lend(target, async (move) => {
        channels.find(image, target.id); // nobody has removed it meanwhile
        const nodes = this.#nodesOf(image);
        const base = baseOf(channels, target);
        const id = book.nextId(image);
        const rollout = settle(request, { id, target, base, nodes }, this.#now());
        this.#mustHaveNone(nodes);
        await fleet.retry(nodes);
        const writes = [...book.writes(id, { rollout }), ...book.forgetOld(image)];
        if (base.generation && base.isElsewhere) await move(base.generation, 'rolled back', writes);
        else await this.#ports.transact(writes);
        book.took(id, { rollout });
        this.#tell(rollout, 'started', undefined, `to ${rollout.target}`);
        return rollout;
      });
    });
  }

  /** Nobody new is told until it is resumed. @throws Refusal when none runs. */
  pause(image: string): Promise<Rollout> {
    return this.#inTurn(async () => {
      const rollout = this.#mustBe(image, ['running'], 'paused');
      return this.#turn({ ...rollout, state: 'paused' }, 'paused');
    });
  }

  /** Goes on; the nodes that failed are tried anew. @throws Refusal when none is paused or stopped, or its target is gone. */
  resume(image: string): Promise<Rollout> {
    return this.#inTurn(async () => {
      const { fleet } = this.#ports;
      const before = this.#mustBe(image, ['paused', 'stopped'], 'resumed');
      await fleet.wholeGeneration(image, before.target);
      const { reason: _, ...rollout } = before;
      const steps = new Map<Serial, Step>();
      const retrials: Write[] = [];
      for (const [serial, step] of fleet.rollouts.steps(rollout.id)) {
        if (step.state === 'failed') steps.set(serial, retried(step, this.#now()));
        retrials.push(...fleet.boots.retrial(serial));
      }
      return this.#turn({ ...rollout, state: 'running' }, 'resumed', { steps }, retrials);
    });
  }

  /** Gives it up: nodes that have the target boot the base from their next boot on. @throws Refusal when there is none. */
  abort(image: string): Promise<Rollout> {
    return this.#inTurn(async () => {
      const rollout = this.#mustBe(image, ['running', 'paused', 'stopped'], 'aborted');
      const ended: Rollout = { ...rollout, state: 'aborted', endedAt: this.#now() };
      const { rollouts: book } = this.#ports.fleet;
      const aborted = await book.ending(rollout.id, () =>
        this.#turn(ended, 'aborted', {}, this.#unassignAll(rollout.id)),
      );
      this.#attempts.keepOnly(this.#activeIds());
      return aborted;
    });
  }

  /** Looks how all of them are, and does what is to be done now. Never rejects. */
  tick(): Promise<void> {
    return this.#inTurn(async () => {
      const { fleet, log } = this.#ports;
      await this.#unassignLeft();
      for (const { id } of fleet.rollouts.active()) {
        try {
          await this.#advance(id);
          this.#heldUp.delete(id);
        } catch (error) {
          this.#heldUp.set(id, error instanceof Error ? error.message : String(error));
          this.#failures((left) =>
            log.error({ id: 'ROLLOUT_HELD_UP', rollout: id, err: error, left }, 'a rollout cannot go on'),
          );
        }
      }
      this.#attempts.keepOnly(this.#activeIds());
    });
  }

  /** Why it cannot go on for now, in words: what it would do next cannot be stored, or exported. */
  heldUp(id: string): string | undefined {
    return this.#ports.fleet.rollouts.isActive(id) ? this.#heldUp.get(id) : undefined;
  }

  /** What is known of its nodes now, for people. */
  facts(rollout: Rollout): RolloutFacts {
    const { fleet, power } = this.#ports;
    return gatherFacts(
      rollout,
      fleet.rollouts.steps(rollout.id),
      {
        nodes: fleet.view().nodes.values(),
        usable: (id) => fleet.channels.usable(id),
        condition: (serial) => fleet.conditions.of(serial),
        record: (serial) => fleet.boots.record(serial),
        fallBack: (node) => fleet.boots.fallBack(node),
        hasPower: (node) => power.can(node),
        attempts: this.#attempts,
      },
      this.#now(),
    );
  }

  async #advance(id: string): Promise<void> {
    for (let round = 0; round < MOST_ROUNDS; round += 1) {
      const rollout = this.#ports.fleet.rollouts.get(id);
      const actions = rollout ? plan(rollout, this.facts(rollout)) : [];
      if (actions.length === 0) return;
      for (const action of actions) await this.#act(id, action);
    }
  }

  async #act(id: string, action: Action): Promise<void> {
    const { fleet } = this.#ports;
    const rollout = fleet.rollouts.get(id) as Rollout;
    if (action.kind === 'stop') return this.#stopFor(rollout, action.reason);
    if (action.kind === 'finish') return this.#finish(rollout);
    if (action.kind === 'order' || action.kind === 'check') return this.#handle(rollout, action);
    const { kind, serial } = action;
    const { step, pointer } = stepAfter(action, fleet.rollouts.steps(id).get(serial), this.#now());
    const steps = new Map([[serial, step]]);
    const beside = pointer === undefined ? [] : this.#point(rollout, serial, pointer);
    if (kind === 'fail') {
      const { reason } = action;
      const tellFirst = () => this.#tell(rollout, 'node failed', serial, reason);
      const entry = { steps, beside, tellFirst };
      return this.#stopFor(rollout, `${this.#nameOf(serial)}: ${reason}`, entry);
    }
    const retrial = kind === 'tell' ? fleet.boots.retrial(serial) : [];
    await this.#commit(id, { steps }, [...beside, ...retrial]);
    if (kind === 'cycle') return this.#handle(rollout, action);
    const told = TOLD[kind];
    if (told) this.#tell(rollout, told.what, serial, 'reason' in action ? action.reason : told.text(rollout));
  }

  /** What takes a while: it goes on beside, and what comes of it is a fact for the next plan. */
  #handle(rollout: Rollout, { kind, serial }: Action & { readonly kind: 'order' | 'cycle' | 'check' }): void {
    const { fleet } = this.#ports;
    const node = fleet.view().nodes.get(serial);
    if (!node) return;
    const attempt = this.#attempts.of(rollout.id, serial, fleet.rollouts.steps(rollout.id).get(serial));
    const onTaken = () => void this.#inTurn(() => this.#noteTaken(rollout.id, serial));
    if (kind === 'check') this.#hands.check(node, attempt, rollout.check ?? '');
    else if (kind === 'cycle') this.#hands.cycle(node, attempt);
    else this.#hands.order(node, attempt, onTaken);
  }

  /** So that after a restart nobody thinks that it did not answer. */
  async #noteTaken(id: string, serial: Serial): Promise<void> {
    const step = this.#ports.fleet.rollouts.steps(id).get(serial);
    if ((step?.state !== 'told' && step?.state !== 'failed') || step.takenAt !== undefined) return;
    await this.#commit(id, { steps: new Map([[serial, { ...step, takenAt: this.#now() }]]) }).catch(() => {});
  }

  async #finish(rollout: Rollout): Promise<void> {
    const { fleet } = this.#ports;
    const target = fleet.channels.usable(rollout.target);
    if (!target) return;
    const ended: Rollout = { ...rollout, state: 'finished', endedAt: this.#now() };
    const { rollouts: book } = fleet;
    try {
      await book.ending(rollout.id, () =>
        fleet.lend(target, async (move) => {
          const writes = [...book.writes(rollout.id, { rollout: ended }), ...this.#unassignAll(rollout.id)];
          await move(target, 'published', writes);
          book.took(rollout.id, { rollout: ended });
        }),
      );
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return this.#stopFor(rollout, error.message);
    }
    this.#tell(ended, 'finished', undefined, `${ended.image} stands for ${ended.target}`);
  }

  /** The first reason is the one that is kept. */
  async #stopFor(
    rollout: Rollout,
    reason: string,
    { steps, beside = [], tellFirst }: Failure = {},
  ): Promise<void> {
    const isFirst = rollout.state !== 'stopped';
    const stopped: Rollout = isFirst ? { ...rollout, state: 'stopped', reason } : rollout;
    await this.#commit(rollout.id, { rollout: stopped, steps }, beside);
    tellFirst?.();
    if (isFirst) this.#tell(stopped, 'stopped', undefined, reason);
  }

  async #turn(rollout: Rollout, what: What, entry: Entry = {}, beside: Write[] = []): Promise<Rollout> {
    await this.#commit(rollout.id, { ...entry, rollout }, beside);
    this.#tell(rollout, what);
    return rollout;
  }

  async #commit(id: string, entry: Entry, beside: readonly Write[] = []): Promise<void> {
    const { rollouts: book } = this.#ports.fleet;
    await this.#ports.transact([...book.writes(id, entry), ...beside]);
    book.took(id, entry);
  }

  #mustBe(image: string, states: readonly Rollout['state'][], what: string): Rollout {
    const rollout = this.#ports.fleet.rollouts.activeOf(image);
    if (rollout && states.includes(rollout.state)) return rollout;
    if (!rollout)
      throw new Refusal(`No rollout of image "${image}" is under way`, `See "netboot rollout status".`);
    throw new Refusal(
      `Rollout ${rollout.id} is ${rollout.state}, so it cannot be ${what}`,
      `See "netboot rollout status ${image}".`,
    );
  }

  /** @throws Refusal naming the rollout that has one of these nodes. */
  #mustHaveNone(nodes: readonly Node[]): void {
    const { rollouts: book } = this.#ports.fleet;
    for (const rollout of book.active()) {
      const steps = book.steps(rollout.id);
      const node = nodes.find(({ serial }) =>
        ['told', 'failed', 'done'].includes(steps.get(serial)?.state ?? ''),
      );
      if (!node) continue;
      throw new Refusal(
        `Node ${node.name} is under way in rollout ${rollout.id} of image "${rollout.image}"`,
        `Wait for its end, or give it up: netboot rollout abort ${rollout.image}`,
      );
    }
  }

  /** A node that has another image by now may have an assignment of that image's rollout. */
  #point(rollout: Rollout, serial: Serial, pointer: 'to target' | 'away'): Write[] {
    if (pointer === 'to target') return [assign(serial, assignmentFor(rollout))];
    return this.#ports.fleet.assignments.all().get(serial)?.by === rollout.id ? [unassign(serial)] : [];
  }

  #unassignAll(id: string): Write[] {
    return [...this.#ports.fleet.assignments.all()].flatMap(([serial, { by }]) =>
      by === id ? [unassign(serial)] : [],
    );
  }

  /** A node that began to boot while its rollout ended has an assignment of it, which counts no more. */
  async #unassignLeft(): Promise<void> {
    const { rollouts: book, assignments } = this.#ports.fleet;
    const active = book.active();
    const isLeft = ([serial, { by }]: [Serial, Assignment]) =>
      !active.some(({ id }) => id === by || book.steps(id).has(serial));
    const left = [...assignments.all()].filter(isLeft);
    if (left.length === 0) return;
    await this.#ports.transact(left.map(([serial]) => unassign(serial))).catch(() => {}); // the next tick tries again
  }

  #nodesOf(image: string): Node[] {
    return [...this.#ports.fleet.view().nodes.values()].filter((node) => node.image === image);
  }

  #activeIds(): Set<string> {
    return new Set(this.#ports.fleet.rollouts.active().map(({ id }) => id));
  }

  #nameOf(serial: Serial): string {
    return this.#ports.fleet.view().nodes.get(serial)?.name ?? serial;
  }

  #tell({ id, image }: Rollout, what: What, serial?: Serial, text?: string): void {
    this.#ports.log.info({ id: 'ROLLOUT', rollout: id, what, serial }, text ?? what);
    this.#ports.fleet.events.tell({
      kind: 'rollout',
      rollout: id,
      image,
      what,
      ...(serial === undefined ? {} : { serial, name: this.#nameOf(serial) }),
      ...(text === undefined ? {} : { text }),
    });
  }
}
