/** How a program of this machine is run: an argv, never a shell. */
export interface CommandOptions {
  readonly cwd?: string;
  /** Nothing of our own environment is passed on but PATH; this is added. */
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Called with each line of stdout and stderr as it comes. */
  readonly onLine?: (line: string) => void;
  /** After so much silence `onLine` is given what has no end yet, too: a prompt. Default: it waits for the line's end. */
  readonly promptMs?: number;
  readonly signal?: AbortSignal;
  /** What ends it when `signal` is aborted; SIGTERM unless told. */
  readonly killSignal?: 'SIGKILL';
  readonly timeoutMs?: number;
}

/** Runs a program to its end and gives its stdout, trimmed. @throws CommandError when it cannot start or fails. */
export type Run = (program: string, args: readonly string[], options?: CommandOptions) => Promise<string>;

/**
 * Runs a program between two streams of bytes, however long they are. `ended` settles after all of `output` is read, and
 * rejects as `Run` does; `output` itself only ends.
 */
export type Filter = (
  program: string,
  args: readonly string[],
  input: AsyncIterable<Uint8Array>,
  signal?: AbortSignal,
) => { readonly output: AsyncIterable<Buffer>; readonly ended: Promise<void> };

/** A program that could not start, failed, or was stopped: what was run and the last it said. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly argv: readonly string[];
  readonly exitCode: number | undefined;
  readonly stderrTail: string;

  constructor(
    message: string,
    details: {
      argv: readonly string[];
      exitCode?: number | undefined;
      stderrTail: string;
    },
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.argv = details.argv;
    this.exitCode = details.exitCode;
    this.stderrTail = details.stderrTail;
  }
}

/** Something a person has to put right: one clear sentence that names the thing, and the remedy. Shown without a stack. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly problem: string;
  readonly remedy: string;
  /** Of the process that ends with it. */
  readonly exitCode: number;

  constructor(problem: string, remedy: string, options: ErrorOptions & { readonly exitCode?: number } = {}) {
    super(`${problem}. ${remedy}`, options);
    this.problem = problem;
    this.remedy = remedy;
    this.exitCode = options.exitCode ?? 1;
  }
}
