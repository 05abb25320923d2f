import type { StoredGeneration } from '../../model/generation.ts';
import type { Instant } from '../../model/lease.ts';
import type { Node } from '../../model/node.ts';
import type { Serial } from '../../net/serial.ts';
import { assign } from '../assignments.ts';
import type { Store, Write } from '../store.ts';
import {
  assignmentFor,
  isActive,
  type Rollout,
  rolloutSchema,
  roomLeft,
  type Step,
  stepSchema,
} from './rollout.ts';

const ROLLOUT = 'rollout/';
const STEP = 'rollout-step/';
/** Rollouts that are over and still shown, of each image. */
const KEPT = 5;

/** What changes of a rollout in one transaction; a step of `undefined` lets the node wait for its turn again. */
export interface Entry {
  readonly rollout?: Rollout | undefined;
  readonly steps?: ReadonlyMap<Serial, Step | undefined> | undefined;
}

/** All rollouts and their steps, as they are stored. */
export class RolloutBook {
  readonly #isNode: (serial: Serial) => boolean;
  readonly #rollouts = new Map<string, Rollout>();
  readonly #steps = new Map<string, Map<Serial, Step>>();
  readonly #ending = new Set<string>();

  /** @param isNode whether somebody has added it: machines that are served although nobody has take no part. */
  constructor(store: Store, isNode: (serial: Serial) => boolean) {
    this.#isNode = isNode;
    for (const { value } of store.list(ROLLOUT)) {
      const rollout = rolloutSchema.parse(value);
      this.#rollouts.set(rollout.id, rollout);
    }
    for (const { key, value } of store.list(STEP)) {
      const [id = '', serial = ''] = key.slice(STEP.length).split('/');
      this.#stepsOf(id).set(serial as Serial, stepSchema.parse(value));
    }
  }

  /** The oldest first. */
  all(): Rollout[] {
    return [...this.#rollouts.values()].sort(
      (a, b) => a.startedAt - b.startedAt || numberOf(a) - numberOf(b),
    );
  }

  active(): Rollout[] {
    return this.all().filter(isActive);
  }

  activeOf(image: string): Rollout | undefined {
    return this.active().find((rollout) => rollout.image === image);
  }

  lastOf(image: string): Rollout | undefined {
    return this.activeOf(image) ?? this.all().findLast((rollout) => rollout.image === image);
  }

  isActive(id: string): boolean {
    const rollout = this.#rollouts.get(id);
    return rollout !== undefined && isActive(rollout);
  }

  get(id: string): Rollout | undefined {
    return this.#rollouts.get(id);
  }

  steps(id: string): ReadonlyMap<Serial, Step> {
    return this.#steps.get(id) ?? new Map();
  }

  nextId(image: string): string {
    const numbers = this.all().flatMap((rollout) => (rollout.image === image ? [numberOf(rollout)] : []));
    return `${image}.${Math.max(0, ...numbers) + 1}`;
  }

  /** Whether a node that boots now gets the target, of a rollout that waits for nodes to boot by themselves. */
  offers({ serial, image }: Node): Rollout | undefined {
    const rollout = this.activeOf(image);
    if (rollout?.state !== 'running' || !rollout.atNextBoot || !this.#isNode(serial)) return undefined;
    if (this.#ending.has(rollout.id)) return undefined;
    const steps = this.steps(rollout.id);
    return !steps.has(serial) && roomLeft(rollout, steps.values()) > 0 ? rollout : undefined;
  }

  /**
   * A node begins to boot, and takes what {@link offers} says. Known at once, so that no more take it than may.
   * @returns for the transaction by which that boot becomes durable.
   */
  claim(node: Node, { id }: StoredGeneration, at: Instant): Write[] {
    const rollout = this.offers(node);
    if (rollout?.target !== id) return [];
    const { serial } = node;
    const steps = new Map<Serial, Step>([[serial, { state: 'told', toldAt: at, by: 'itself' }]]);
    this.took(rollout.id, { steps });
    return [...this.writes(rollout.id, { steps }), assign(serial, assignmentFor(rollout))];
  }

  /** Nobody takes the rollout's target while `work` ends it; where that fails, it goes on as before. */
  async ending<T>(id: string, work: () => Promise<T>): Promise<T> {
    this.#ending.add(id);
    try {
      return await work();
    } finally {
      this.#ending.delete(id);
    }
  }

  /** For a transaction; {@link took} follows when that is durable. */
  writes(id: string, { rollout, steps = new Map() }: Entry): Write[] {
    return [
      ...(rollout ? [{ kind: 'put', key: `${ROLLOUT}${id}`, value: rollout } as const] : []),
      ...[...steps].map(([serial, step]): Write => {
        const key = `${STEP}${id}/${serial}`;
        return step ? { kind: 'put', key, value: step } : { kind: 'delete', key };
      }),
    ];
  }

  took(id: string, { rollout, steps = new Map() }: Entry): void {
    if (rollout) this.#rollouts.set(id, rollout);
    for (const [serial, step] of steps) {
      if (step) this.#stepsOf(id).set(serial, step);
      else this.#steps.get(id)?.delete(serial);
    }
  }

  /** Forgets those of the image that were over long ago. @returns for a transaction. */
  forgetOld(image: string): Write[] {
    const over = this.all().filter((rollout) => rollout.image === image && !isActive(rollout));
    return over.slice(0, Math.max(0, over.length - KEPT)).flatMap(({ id }): Write[] => {
      const serials = [...this.steps(id).keys()];
      this.#rollouts.delete(id);
      this.#steps.delete(id);
      const keys = [`${ROLLOUT}${id}`, ...serials.map((serial) => `${STEP}${id}/${serial}`)];
      return keys.map((key) => ({ kind: 'delete', key }));
    });
  }

  #stepsOf(id: string): Map<Serial, Step> {
    const steps = this.#steps.get(id) ?? new Map<Serial, Step>();
    this.#steps.set(id, steps);
    return steps;
  }
}

const numberOf = ({ id }: Rollout): number => Number(id.slice(id.lastIndexOf('.') + 1));
