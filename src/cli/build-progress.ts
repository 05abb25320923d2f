import type { BuildProgress } from '../imaging/build.ts';
import { ByteMeter } from './byte-meter.ts';
import { formatBytes } from './table.ts';

/** Shows a build while it goes on. */
export interface ProgressView {
  show(progress: BuildProgress): void;
  /** Leaves what was shown as it is at the end; to be called before anything else is printed. */
  end(outcome: 'done' | 'failed'): Promise<void>;
}

/** An event of a step, which all but one are. */
export type StepProgress = Exclude<BuildProgress, { readonly kind: 'waiting' }>;

export interface ViewOptions {
  /** All that the steps print. */
  readonly verbose: boolean;
  /** The result is for a program: what is for a person goes to stderr. */
  readonly json: boolean;
}

/** A moving list of the steps on a terminal; elsewhere a line whenever one starts or ends. */
export async function openProgressView({ verbose, json }: ViewOptions): Promise<ProgressView> {
  // A serial console does not tell its size: then nothing can move on it.
  const { isTTY, rows, columns } = process.stdout;
  if (!verbose && !json && isTTY && rows > 0 && columns > 0) {
    const { LiveProgress } = await import('./live-progress.ts');
    return new LiveProgress();
  }
  return new PlainProgress((line) => (json ? console.error(line) : console.log(line)), verbose);
}

/** Lines, for logs and pipes. */
export class PlainProgress implements ProgressView {
  readonly #print: (line: string) => void;
  readonly #verbose: boolean;
  readonly #meters = new Map<string, ByteMeter>();

  constructor(print: (line: string) => void, verbose: boolean) {
    this.#print = print;
    this.#verbose = verbose;
  }

  show(progress: BuildProgress): void {
    switch (progress.kind) {
      case 'waiting':
        this.#print(describeWait(progress));
        break;
      case 'started':
        this.#print(describeStep(progress));
        break;
      case 'line':
        if (this.#verbose) this.#print(`    ${progress.line}`);
        break;
      case 'bytes': {
        const meter = this.#meters.get(progress.step) ?? new ByteMeter();
        this.#meters.set(progress.step, meter);
        meter.show(performance.now(), progress.done, progress.total);
        break;
      }
      case 'cached':
      case 'finished':
        this.#print(
          `${describeStep(progress)}: ${describeEnd(progress, this.#meters.get(progress.step)?.sum)}`,
        );
    }
  }

  async end(): Promise<void> {}
}

/** `[ 3/12] web/packages: install nginx` */
export function describeStep({ step, name, index, of }: StepProgress): string {
  return `[${`${index + 1}`.padStart(`${of}`.length)}/${of}] ${step}: ${name}`;
}

/** `cached, 45.6 MB`, or `12.3 s, 45.6 MB, fetched 7.8 MB`. */
export function describeEnd(
  progress: Extract<StepProgress, { kind: 'cached' | 'finished' }>,
  fetched = 0,
): string {
  return [
    progress.kind === 'cached' ? 'cached' : `${progress.seconds.toFixed(1)} s`,
    ...(progress.bytes ? [formatBytes(progress.bytes)] : []),
    ...(fetched > 0 ? [`fetched ${formatBytes(fetched)}`] : []),
  ].join(', ');
}

export function describeWait({ owner }: Extract<BuildProgress, { kind: 'waiting' }>): string {
  const who = owner
    ? `of ${owner.image || 'what was left of one'} (process ${owner.pid}, since ${owner.since})`
    : '';
  return `waiting for another build ${who}`.trimEnd();
}
