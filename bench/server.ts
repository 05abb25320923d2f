import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { atServer, type Cable } from './lab.ts';

const READY_MS = 20_000;
const STOP_MS = 5_000;

export interface ServerProgram {
  readonly name: string;
  readonly cable: Cable;
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** The address and UDP port it listens at when it is ready, as `ss` writes it. */
  readonly listens: string;
  /** What it logs when it is ready, for one that listens before. */
  readonly says?: string;
}

/** A server under test, running. */
export class Server implements AsyncDisposable {
  readonly #program: ServerProgram;
  readonly #child: ChildProcess;

  private constructor(program: ServerProgram, child: ChildProcess) {
    this.#program = program;
    this.#child = child;
  }

  /** @throws Error with what it said when it does not come up. */
  static async start(program: ServerProgram): Promise<Server> {
    const [command = '', ...args] = atServer(program.cable, program.argv);
    const log = openSync(program.logFile, 'a');
    const child = spawn(command, args, {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...program.env },
    });
    const server = new Server(program, child);
    for (const until = Date.now() + READY_MS; !(await server.#isReady()); await sleep(100)) {
      if (server.pid && Date.now() < until) continue;
      await server.stop();
      throw new Error(`${program.name} does not listen at ${program.listens}:\n${server.#lastWords()}`);
    }
    return server;
  }

  /** @throws Error with what it said when it has ended. */
  get pid(): number {
    if (this.#hasEnded) throw new Error(`${this.#program.name} ended:\n${this.#lastWords()}`);
    return this.#child.pid as number;
  }

  async #isReady(): Promise<boolean> {
    const { says = '' } = this.#program;
    return this.#log().includes(says) && (await isListening(this.#program));
  }

  #log(): string {
    return readFileSync(this.#program.logFile, 'utf8');
  }

  #lastWords(): string {
    return this.#log().trim().split('\n').slice(-5).join('\n');
  }

  get #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async stop(): Promise<void> {
    if (this.#hasEnded) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const killing = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
    await ended;
    clearTimeout(killing);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

async function isListening({ cable, listens }: ServerProgram): Promise<boolean> {
  const [command = '', ...args] = atServer(cable, ['ss', '-Hlun']);
  const { stdout } = await execa(command, args);
  return stdout.split('\n').some((line) => line.split(/\s+/)[3] === listens);
}
