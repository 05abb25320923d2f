import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CommandError, type Run } from '../model/command.ts';
import type { Board } from './board.ts';
import type { FirmwareEvent } from './firmware-event.ts';

/** What firmware-main.ts is started with, as JSON in its one argument. */
export interface FirmwareOrder {
  readonly board: Board;
  /** Where it leaves `kernel`, `initramfs` and `cmdline`. */
  readonly folder: string;
  readonly timeScale: number;
}

export type FirmwareOutcome =
  | {
      readonly kind: 'handover';
      readonly kernel: string;
      readonly initramfs?: string;
      readonly cmdline: string;
    }
  | { readonly kind: 'failed'; readonly reason: string };

/** What firmware-main.ts writes, one JSON value a line: events as they come, then the outcome. */
export type FirmwareLine = { readonly event: FirmwareEvent } | { readonly outcome: FirmwareOutcome };

const MAIN = fileURLToPath(new URL('firmware-main.ts', import.meta.url));

/**
 * Runs the firmware in a process of its own inside the Pi's network namespace; it dies with this one.
 * @throws CommandError when that process fails as no firmware does.
 */
export async function runFirmware(
  run: Run,
  namespace: string,
  order: FirmwareOrder,
  report: (event: FirmwareEvent) => void,
  signal: AbortSignal,
): Promise<FirmwareOutcome> {
  let outcome: FirmwareOutcome | undefined;
  const strayLines: string[] = [];
  const onLine = (line: string) => {
    if (!line.startsWith('{')) return void strayLines.push(line);
    const said = JSON.parse(line) as FirmwareLine;
    if ('event' in said) report(said.event);
    else outcome = said.outcome;
  };
  const argv = [process.execPath, MAIN, JSON.stringify(order)];
  await run('ip', ['netns', 'exec', namespace, 'setpriv', '--pdeathsig', 'KILL', ...argv], {
    onLine,
    signal,
    killSignal: 'SIGKILL',
  });
  if (outcome) return outcome;
  throw new CommandError(`the virtual firmware ended without an outcome: ${strayLines.join('\n')}`, {
    argv,
    exitCode: 0,
    stderrTail: strayLines.slice(-10).join('\n'),
  });
}

/** Names of the files in `folder` of the order. */
export function fetchedFiles(folder: string): { kernel: string; initramfs: string; cmdline: string } {
  return {
    kernel: join(folder, 'kernel'),
    initramfs: join(folder, 'initramfs'),
    cmdline: join(folder, 'cmdline'),
  };
}
