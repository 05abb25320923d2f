import { fileURLToPath } from 'node:url';
import { CommandError, type Run } from '../model/command.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import type { Mac } from '../net/mac.ts';
import { parseSerial, type Serial } from '../net/serial.ts';
import type { Generation } from './fleet-boards.ts';
import { type FleetNode, type FleetReport, reportOf } from './fleet-report.ts';
import type { Impairment } from './impairment.ts';
import { plugIn, portOf, rackNamespace, unplug } from './rack.ts';

/** What fleet-main.ts is started with, as JSON in its one argument. */
export interface FleetOrder {
  readonly seed: number;
  readonly pis: number;
  readonly mix: readonly Generation[];
  readonly impairment: Impairment;
  /** The Pis are switched on within this time, by a time each that follows from the seed. */
  readonly staggerMs: number;
  /** Only this DHCP server's offers are heard; default: every one's. */
  readonly server?: Ipv4;
  /** How often a Pi 4 or 5 begins its boot order anew. */
  readonly restarts: number;
  /** Whatever has not booted by then has failed. */
  readonly deadlineMs: number;
  /** Whether every byte is compared with what other Pis got (shared-files.ts). */
  readonly comparesFiles: boolean;
  /** Factor for every wait of the firmware: 1 is a real Pi. */
  readonly timeScale: number;
}

export interface FleetProgress {
  readonly waiting: number;
  readonly booting: number;
  readonly booted: number;
  readonly failed: number;
  /** Of files that are complete. */
  readonly bytes: number;
  readonly ms: number;
  readonly framesIn: number;
}

/** What fleet-main.ts writes, one JSON value a line. */
export type FleetLine =
  | { readonly progress: FleetProgress }
  | { readonly node: FleetNode }
  | { readonly wire: FleetReport['wire'] };

const MAIN = fileURLToPath(new URL('fleet-main.ts', import.meta.url));

export interface FleetBoot {
  readonly rack: string;
  readonly run: Run;
  /** Aborted: power off, and the cable is taken away. */
  readonly signal: AbortSignal;
  readonly progress?: (progress: FleetProgress) => void;
}

/**
 * Boots a fleet of virtual Pis behind one cable of the rack, against whatever servers are there. Leaves no namespace and
 * no process behind, however it ends.
 * @throws Refusal when there is no such rack or a fleet of that seed runs in it; CommandError when aborted.
 */
export async function bootFleet(
  order: FleetOrder,
  { rack, run, signal, progress }: FleetBoot,
): Promise<FleetReport> {
  const cable = cableOf(order.seed);
  signal.throwIfAborted();
  const namespace = await plugIn(run, rack, cable);
  const nodes: FleetNode[] = [];
  const strayLines: string[] = [];
  let wire: FleetReport['wire'] | undefined;
  const onLine = (line: string) => {
    if (!line.startsWith('{')) return void strayLines.push(line);
    const said = JSON.parse(line) as FleetLine;
    if ('progress' in said) progress?.(said.progress);
    else if ('node' in said) nodes.push(said.node);
    else wire = said.wire;
  };
  const argv = [process.execPath, MAIN, JSON.stringify(order)];
  try {
    // A wire carries frames of one MTU: what the far end would hand over in one piece is cut up there.
    await run('ip', ['-n', rackNamespace(rack), 'link', 'set', portOf(cable.serial), 'gso_max_segs', '1']);
    await run('ip', ['netns', 'exec', namespace, 'setpriv', '--pdeathsig', 'KILL', ...argv], {
      onLine,
      signal,
    });
  } finally {
    await unplug(run, rack, cable.serial);
  }
  if (wire) return reportOf(order.seed, nodes, wire);
  throw new CommandError(`the fleet ended without a report: ${strayLines.join('\n')}`, {
    argv,
    exitCode: 0,
    stderrTail: strayLines.slice(-10).join('\n'),
  });
}

/** The fleet's own port of the rack, named as a Pi's is. */
function cableOf(seed: number): { serial: Serial; mac: Mac } {
  const digits = (seed & 0xffff).toString(16).padStart(4, '0');
  return {
    serial: parseSerial(`f1ee${digits}`),
    mac: `02:4e:42:f1:${digits.slice(0, 2)}:${digits.slice(2)}` as Mac,
  };
}
