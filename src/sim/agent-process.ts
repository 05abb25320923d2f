import { fileURLToPath } from 'node:url';
import { CommandError, type Run } from '../model/command.ts';
import type { Serial } from '../net/serial.ts';
import type { FailureRule } from './agent-failure.ts';

/** How a simulated node behaves once its firmware has handed over. */
export interface AgentSettings {
  /** TCP port of its web page; without it there is none. */
  readonly serve?: number;
  readonly failures?: readonly FailureRule[];
  /** What its clock shows when its kernel starts, in seconds since 1970; without it, it is right. */
  readonly clock?: number;
}

/** What agent-main.ts is started with, as JSON in its one argument. */
export interface AgentOrder extends AgentSettings {
  readonly serial: Serial;
  /** As its firmware fetched it. */
  readonly cmdline: string;
  readonly timeScale: number;
}

export type AgentOutcome =
  | { readonly kind: 'reset'; readonly why: string }
  | { readonly kind: 'failed'; readonly reason: string };

/** What agent-main.ts writes, one JSON value a line. */
export type AgentLine = { readonly text: string } | { readonly outcome: AgentOutcome };

const MAIN = fileURLToPath(new URL('agent-main.ts', import.meta.url));

/**
 * A booted system that is none: a process in the Pi's network namespace that says and serves what one would. It dies with
 * this process. @throws CommandError when that process fails as no node does, or was stopped.
 */
export async function runAgentProcess(
  run: Run,
  namespace: string,
  order: AgentOrder,
  print: (text: string) => void,
  signal: AbortSignal,
): Promise<AgentOutcome> {
  let outcome: AgentOutcome | undefined;
  const strayLines: string[] = [];
  const onLine = (line: string) => {
    if (!line.startsWith('{')) return void strayLines.push(line);
    const said = JSON.parse(line) as AgentLine;
    if ('text' in said) print(said.text);
    else outcome = said.outcome;
  };
  // By stdin: the token in the command line is for this node alone, and whoever is on this machine can read an argv.
  const argv = [process.execPath, MAIN];
  await run('ip', ['netns', 'exec', namespace, 'setpriv', '--pdeathsig', 'KILL', ...argv], {
    input: JSON.stringify(order),
    onLine,
    signal,
    killSignal: 'SIGKILL',
  });
  if (outcome) return outcome;
  throw new CommandError(`the simulated node ended without an outcome: ${strayLines.join('\n')}`, {
    argv,
    exitCode: 0,
    stderrTail: strayLines.slice(-10).join('\n'),
  });
}
