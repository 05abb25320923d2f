import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Run } from '../model/command.ts';
import { type AgentOutcome, type AgentSettings, runAgentProcess } from './agent-process.ts';
import { type BoardChoice, boardOf } from './board.ts';
import type { FileRequest, FirmwareEvent } from './firmware-event.ts';
import { type FirmwareOutcome, runFirmware } from './firmware-process.ts';
import { bootInQemu, type QemuOutcome } from './qemu.ts';
import { plugIn, unplug } from './rack.ts';
import { describeEvent } from './transcript.ts';

export interface Simulation extends BoardChoice {
  /** Name of the rack it is plugged into; createRack made it. */
  readonly rack: string;
  /** Also start what was fetched, in QEMU; otherwise the boot ends where the kernel would start. */
  readonly boot: boolean;
  /** In place of that: a system that only says and serves what a booted one would. */
  readonly agent?: AgentSettings;
  /** With `boot`: a kernel that panics counts as failed; default: it hangs, or resets the machine, as on a Pi. */
  readonly endsOnPanic?: boolean;
  /** Public key that may log in as root on the booted system. */
  readonly authorizedKey?: string;
  /** Memory of the booted machine; default 1024. */
  readonly memoryMiB?: number;
  /** Where the serial console is also written; default: only printed. */
  readonly consoleLog?: string;
  readonly print: (line: string) => void;
  /** Aborted: power off, and all that was made is taken away. */
  readonly signal: AbortSignal;
  /** Factor for every wait of the firmware; default 1, a real Pi's. */
  readonly timeScale?: number;
  readonly run: Run;
}

export type SimResult = {
  /** Every file asked for, in order. */
  readonly requests: readonly FileRequest[];
  /** From power-on until the kernel would start, or the failure. */
  readonly firmwareMs: number;
} & (
  | {
      readonly kind: 'kernel-served';
      readonly kernel: string;
      readonly initramfs?: string;
      readonly cmdline: string;
    }
  | { readonly kind: 'powered-off'; readonly bootedMs: number }
  /** It reset itself: its firmware would start again. */
  | { readonly kind: 'reset'; readonly why: string; readonly bootedMs: number }
  | { readonly kind: 'failed'; readonly reason: string; readonly stage: 'firmware' | 'system' }
);

/**
 * One virtual Pi from power-on to where its firmware hands over or gives up, or, with `boot` or `agent`, until the booted
 * system powers off or resets. Leaves no namespace, process or file behind, however it ends.
 * @throws Refusal when there is no such rack or the Pi is running already; CommandError when aborted or a program fails.
 */
export async function simulatePi(simulation: Simulation): Promise<SimResult> {
  const { run, rack, signal } = simulation;
  const board = boardOf(simulation);
  const print = (text: string) => {
    for (const line of text.split('\n')) simulation.print(`${board.model} ${board.serial}  ${line}`);
  };
  const requests: FileRequest[] = [];
  const report = (event: FirmwareEvent) => {
    if (event.kind === 'file') requests.push(event);
    print(describeEvent(event));
  };
  signal.throwIfAborted();
  const namespace = await plugIn(run, rack, board);
  const folder = await mkdtemp(join(tmpdir(), `netboot-sim-${rack}-${board.serial}-`));
  try {
    const startedAt = performance.now();
    const order = { board, folder, timeScale: simulation.timeScale ?? 1 };
    const outcome = await runFirmware(run, namespace, order, report, signal);
    const firmwareMs = Math.round(performance.now() - startedAt);
    print(describeOutcome(outcome, firmwareMs));
    if (outcome.kind === 'failed') return { ...outcome, stage: 'firmware', requests, firmwareMs };
    if (!simulation.boot && !simulation.agent)
      return { ...outcome, kind: 'kernel-served', requests, firmwareMs };

    const bootedAt = performance.now();
    const ended = simulation.agent
      ? await runAgentProcess(
          run,
          namespace,
          { ...simulation.agent, serial: board.serial, cmdline: outcome.cmdline, timeScale: order.timeScale },
          (line) => print(`│ ${line}`),
          signal,
        )
      : await bootInQemu(run, {
          namespace,
          board,
          folder,
          memoryMiB: simulation.memoryMiB ?? 1024,
          ...(simulation.authorizedKey ? { authorizedKey: simulation.authorizedKey } : {}),
          logFile: simulation.consoleLog ?? join(folder, 'console.log'),
          endsOnPanic: simulation.endsOnPanic ?? false,
          print: (line) => print(`│ ${line}`),
          signal,
        });
    const bootedMs = Math.round(performance.now() - bootedAt);
    print(describeEnd(ended, bootedMs));
    return ended.kind === 'failed'
      ? { ...ended, stage: 'system', requests, firmwareMs }
      : { ...ended, requests, firmwareMs, bootedMs };
  } finally {
    await unplug(run, rack, board.serial);
    await rm(folder, { recursive: true, force: true });
  }
}

function describeEnd(ended: QemuOutcome | AgentOutcome, ms: number): string {
  switch (ended.kind) {
    case 'failed':
      return `FAILED    ${ended.reason}`;
    case 'reset':
      return `── reset after ${ms} ms: ${ended.why}`;
    case 'powered-off':
      return `── powered off after ${ms} ms`;
  }
}

function describeOutcome(outcome: FirmwareOutcome, ms: number): string {
  if (outcome.kind === 'failed') return `FAILED    ${outcome.reason}`;
  const initramfs = outcome.initramfs ? ` with ${outcome.initramfs}` : '';
  return `── kernel served: ${outcome.kernel}${initramfs}, ${ms} ms after power-on\n   ${outcome.cmdline}`;
}
