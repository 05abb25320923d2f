import type { Command } from 'commander';
import type { BuildProgress } from '../imaging/build.ts';
import { callApi } from './client.ts';

/** Between two events of one step that only tell how far it is. */
const PACE_MS = 500;
const PATIENCE_MS = 2000;
/** Failures in a row after which nothing more is posted. */
const MOST_FAILURES = 3;

/** As `POST /v1/images/<image>/progress` takes it. */
interface ProgressBody {
  readonly step: string;
  readonly state: 'started' | 'cached' | 'progress' | 'finished' | 'failed';
  readonly index: number;
  readonly of: number;
  readonly seconds?: number;
  readonly bytes?: number;
  readonly totalBytes?: number;
  readonly text?: string;
}

/** Tells the service how a build goes, for whoever follows its events. Whether it listens is nothing to the build. */
export class ProgressPost {
  readonly #post: (body: ProgressBody) => Promise<unknown>;
  readonly #now: () => number;
  #current: Pick<ProgressBody, 'step' | 'index' | 'of'> = { step: 'start', index: 1, of: 1 };
  #toldAt = Number.NEGATIVE_INFINITY;
  /** One that only tells how far a step is has not been told yet: a slow service must not hold up the end. */
  #isTelling = false;
  #failures = 0;
  #queue: Promise<void> = Promise.resolve();

  constructor(post: (body: ProgressBody) => Promise<unknown>, now: () => number = () => performance.now()) {
    this.#post = post;
    this.#now = now;
  }

  show(progress: BuildProgress): void {
    if (progress.kind === 'waiting') return;
    const { step, index, of } = progress;
    this.#current = { step: step.slice(0, 200), index: index + 1, of };
    switch (progress.kind) {
      case 'started':
        void this.#tell({ ...this.#current, state: 'started', text: progress.name });
        break;
      case 'cached':
        void this.#tell({ ...this.#current, state: 'cached', bytes: progress.bytes });
        break;
      case 'finished': {
        const { seconds, bytes } = progress;
        void this.#tell({
          ...this.#current,
          state: 'finished',
          seconds,
          ...(bytes === undefined ? {} : { bytes }),
        });
        break;
      }
      case 'line':
        this.#tellSometimes({ text: progress.line.slice(0, 1000) });
        break;
      case 'bytes':
        this.#tellSometimes({ bytes: progress.done, totalBytes: progress.total });
    }
  }

  fail(error: unknown): void {
    const text = (error instanceof Error ? error.message : String(error)).slice(0, 4000);
    void this.#tell({ ...this.#current, state: 'failed', text });
  }

  /** Resolves when all is told, or it takes too long. */
  async end(): Promise<void> {
    await this.#queue;
  }

  #tellSometimes(part: Partial<ProgressBody>): void {
    const now = this.#now();
    if (this.#isTelling || now - this.#toldAt < PACE_MS) return;
    this.#toldAt = now;
    this.#isTelling = true;
    void this.#tell({ ...this.#current, state: 'progress', ...part }).then(() => {
      this.#isTelling = false;
    });
  }

  #tell(body: ProgressBody): Promise<void> {
    this.#queue = this.#queue.then(async () => {
      if (this.#failures >= MOST_FAILURES) return;
      try {
        await this.#post(body);
        this.#failures = 0;
      } catch {
        this.#failures += 1;
      }
    });
    return this.#queue;
  }
}

export function postToService(program: Command, image: string): ProgressPost {
  const path = `/v1/images/${encodeURIComponent(image)}/progress`;
  return new ProgressPost((body) =>
    callApi(program, 'POST', path, body, { signal: AbortSignal.timeout(PATIENCE_MS) }),
  );
}
