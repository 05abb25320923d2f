import { Listr } from 'listr2';
import type { BuildProgress } from '../imaging/build.ts';
import {
  describeEnd,
  describeStep,
  describeWait,
  type ProgressView,
  type StepProgress,
} from './build-progress.ts';
import { ByteMeter } from './byte-meter.ts';
import { printable } from './printable.ts';

/** What Listr lets a running task write to. A row without a title is not shown. */
interface Row {
  title?: string | undefined;
  output?: string | undefined;
  skip(message: string): void;
}

interface ShownStep {
  readonly meter: ByteMeter;
  readonly ended: PromiseWithResolvers<'done' | 'cached'>;
  readonly row: PromiseWithResolvers<Row>;
}

/** A row per step that was reached, with its state, and below the one that runs its newest line or how far its transfer is. */
export class LiveProgress implements ProgressView {
  #steps: readonly ShownStep[] = [];
  #shown: Promise<void> = Promise.resolve();
  #reached = 0;

  show(progress: BuildProgress): void {
    if (progress.kind === 'waiting') {
      console.log(describeWait(progress));
      return;
    }
    const step = this.#open(progress.of)[progress.index];
    if (!step) return;
    this.#reached = Math.max(this.#reached, progress.index);
    void step.row.promise.then((row) => showOn(row, step, progress));
    if (progress.kind === 'cached') step.ended.resolve('cached');
    if (progress.kind === 'finished') step.ended.resolve('done');
  }

  /** What failed is the step that was reached last. */
  async end(outcome: 'done' | 'failed'): Promise<void> {
    for (const [index, { ended }] of this.#steps.entries()) {
      if (outcome === 'failed' && index === this.#reached) ended.reject(new Error('failed'));
      else ended.resolve('done');
    }
    await this.#shown;
  }

  #open(of: number): readonly ShownStep[] {
    if (this.#steps.length > 0) return this.#steps;
    this.#steps = Array.from({ length: of }, () => ({
      meter: new ByteMeter(),
      ended: Promise.withResolvers(),
      row: Promise.withResolvers(),
    }));
    const tasks = this.#steps.map(({ row, ended }) => {
      ended.promise.catch(() => {});
      const task = async (_: unknown, shown: Row) => {
        row.resolve(shown);
        if ((await ended.promise) === 'cached') shown.skip(shown.title ?? '');
      };
      return { task };
    });
    const list = new Listr(tasks, {
      registerSignalListeners: false,
      rendererOptions: {
        showErrorMessage: false,
        collapseErrors: false,
        collapseSkips: true,
        formatOutput: 'truncate',
      },
    });
    this.#shown = list.run().then(
      () => {},
      () => {},
    );
    return this.#steps;
  }
}

function showOn(row: Row, { meter }: ShownStep, progress: StepProgress): void {
  row.title ??= describeStep(progress);
  switch (progress.kind) {
    case 'line':
      row.output = printable(progress.line);
      break;
    case 'bytes':
      row.output = meter.show(performance.now(), progress.done, progress.total);
      break;
    case 'cached':
    case 'finished':
      row.title = `${describeStep(progress)}: ${describeEnd(progress, meter.sum)}`;
  }
}
