import type { Instant } from '../model/lease.ts';
import type { NodeState } from '../model/node-state.ts';

/** What a build tells of a step. */
export interface BuildProgressEvent {
  readonly kind: 'build progress';
  readonly image: string;
  readonly step: string;
  readonly state: 'started' | 'cached' | 'progress' | 'finished' | 'failed';
  /** Counted from 1. */
  readonly index?: number | undefined;
  readonly of?: number | undefined;
  readonly seconds?: number | undefined;
  readonly bytes?: number | undefined;
  readonly totalBytes?: number | undefined;
  readonly text?: string | undefined;
}

/** What happens to the fleet, for whoever listens. Further kinds are added here and told where they happen. */
export type FleetEvent =
  | BuildProgressEvent
  | {
      readonly kind: 'published' | 'rolled back';
      readonly image: string;
      readonly generation: string;
      readonly before?: string | undefined;
    }
  | { readonly kind: 'pruned'; readonly generations: readonly string[] }
  | {
      readonly kind: 'node added' | 'node changed' | 'node removed';
      readonly serial: string;
      readonly name: string;
      readonly image: string;
    }
  | {
      readonly kind: 'boot begun';
      readonly serial: string;
      readonly name: string;
      readonly generation: string;
    }
  | {
      readonly kind: 'node state';
      readonly serial: string;
      readonly name: string;
      readonly state: NodeState;
      readonly before: NodeState;
      readonly detail?: string | undefined;
    }
  /** It did not come up often enough, and boots from now on what it came up with last. */
  | {
      readonly kind: 'fell back';
      readonly serial: string;
      readonly name: string;
      readonly from: string;
      readonly to: string;
      readonly attempts: number;
    }
  /** Something was refused, or could not be done, that concerns one node. */
  | {
      readonly kind: 'node trouble';
      readonly serial: string;
      readonly name: string;
      readonly text: string;
    }
  | {
      readonly kind: 'rollout';
      readonly rollout: string;
      readonly image: string;
      readonly what:
        | 'started'
        | 'node told'
        | 'node done'
        | 'node failed'
        | 'node put back'
        /** It could not be reached: it gets the target at the end. */
        | 'node skipped'
        /** It was removed, or has another image now. */
        | 'node left'
        | 'paused'
        | 'resumed'
        | 'stopped'
        | 'aborted'
        | 'finished';
      readonly serial?: string | undefined;
      readonly name?: string | undefined;
      readonly text?: string | undefined;
    };

export type ToldEvent = FleetEvent & { readonly id: string; readonly at: Instant };

export type Listener = (event: ToldEvent) => void;

const KEPT = 1000;

/** How far a step is by now: soon untrue, and so many that they would push out all else. */
const isPassing = (event: FleetEvent): boolean =>
  event.kind === 'build progress' && event.state === 'progress';

/**
 * The last thousand events but for those that pass, and those who want to hear the next ones. Ids name this run of the
 * service too, so that one of an earlier run is not taken for one of this.
 */
export class EventHub {
  readonly #now: () => Instant;
  readonly #run: string;
  #count = 0;
  readonly #last: { readonly number: number; readonly told: ToldEvent }[] = [];
  readonly #listeners = new Set<Listener>();

  constructor(now: () => Instant = Date.now) {
    this.#now = now;
    this.#run = now().toString(36);
  }

  /** Listeners are called at once; one that throws is dropped, for nobody else's work must end by it. */
  tell(event: FleetEvent): void {
    this.#count += 1;
    const told: ToldEvent = { ...event, id: `${this.#run}-${this.#count}`, at: this.#now() };
    if (!isPassing(event)) this.#last.push({ number: this.#count, told });
    if (this.#last.length > KEPT) this.#last.shift();
    for (const listener of this.#listeners) {
      try {
        listener(told);
      } catch {
        this.#listeners.delete(listener);
      }
    }
  }

  /** What is remembered of the events behind `id`; all of it when that is of an earlier run, or not known. */
  since(id?: string): ToldEvent[] {
    const [run, text] = id?.split('-') ?? [];
    const heard = run === this.#run ? Number(text) : Number.NaN;
    const isKnown = heard <= this.#count;
    return this.#last.flatMap(({ number, told }) => (isKnown && number <= heard ? [] : [told]));
  }

  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get listeners(): number {
    return this.#listeners.size;
  }
}
