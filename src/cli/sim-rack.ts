import { type Command, InvalidArgumentError } from 'commander';
import { Refusal } from '../model/command.ts';
import { parseIpv4 } from '../net/ipv4.ts';
import type { FleetOrder, FleetProgress } from '../sim/fleet-process.ts';
import type { FleetReport } from '../sim/fleet-report.ts';
import { formatBytes, formatTable } from './table.ts';

interface RackOptions {
  pis: number;
  mix?: string;
  seed: number;
  loss: number;
  duplicate: number;
  reorder: number;
  delay: number;
  jitter: number;
  stagger: number;
  server: string;
  restarts: number;
  deadline: number;
  compare: boolean;
  nodes?: boolean;
  serials?: boolean;
  json?: boolean;
}

/** `netboot sim rack`: a whole fleet, where `netboot sim pi4` is one Pi. */
export function addSimRackCommand(sim: Command): void {
  sim
    .command('rack [rack]')
    .description(
      'power on many virtual Pis at once, over a bad wire if told so, against any server in the rack',
    )
    .option('--pis <n>', 'how many', whole(1, 4_000), 10)
    .option(
      '--mix <mix>',
      'which, in turn: 3b, 3b+, 3-card, 4-old, 4, 5, e.g. 3b:1,4:2 (default: the five generations alike)',
    )
    .option('--seed <n>', 'the same seed makes the same Pis and the same faults', whole(0, 2 ** 31), 1)
    .option('--loss <percent>', 'of frames, in each direction', number(100), 0)
    .option('--duplicate <percent>', 'frames that arrive twice', number(100), 0)
    .option('--reorder <percent>', 'frames that the next one overtakes', number(100), 0)
    .option('--delay <ms>', 'of every frame, in each direction', number(10_000), 0)
    .option('--jitter <ms>', 'up to so much more delay', number(10_000), 0)
    .option('--stagger <ms>', 'the Pis are switched on within this time', number(3_600_000), 0)
    .option('--server <address>', 'hear the DHCP offers of this server only', 'any')
    .option('--restarts <n>', 'how often a Pi 4 or 5 that failed begins anew', whole(0, 100), 3)
    .option('--deadline <s>', 'what has not booted by then has failed', whole(1, 86_400), 900)
    .option('--no-compare', 'do not compare the bytes that different Pis get')
    .option('--serials', 'print the serial numbers of the fleet, and boot nothing')
    .option('--nodes', 'print a line for each Pi as well')
    .option('--json', 'print the whole report, node by node')
    .action(powerOnRack);
}

async function powerOnRack(rack: string | undefined, options: RackOptions): Promise<void> {
  const { fleetBoards, parseMix, DEFAULT_MIX } = await import('../sim/fleet-boards.ts');
  const { seed, pis } = options;
  const mix = options.mix === undefined ? DEFAULT_MIX : parseMix(options.mix);
  if (options.serials) {
    const boards = fleetBoards(seed, pis, mix);
    const rows = boards.map(({ generation, board }) => ({
      serial: board.serial,
      mac: board.mac,
      generation,
    }));
    if (options.json) console.log(JSON.stringify(rows, undefined, 2));
    else for (const { serial, mac, generation } of rows) console.log(`${serial} ${mac} ${generation}`);
    return;
  }
  const { run } = await import('../host/run.ts');
  const { stopSignal } = await import('../host/stop-signal.ts');
  const { onlyRack } = await import('../sim/rack.ts');
  const { bootFleet } = await import('../sim/fleet-process.ts');
  const server = options.server === 'any' ? undefined : parseIpv4(options.server);
  if (options.server !== 'any' && !server)
    throw new Refusal(
      `"${options.server}" is no address of a server`,
      'Write it like 192.168.172.17, or "any".',
    );
  const order: FleetOrder = {
    seed,
    pis,
    mix,
    impairment: {
      lossPercent: options.loss,
      duplicatePercent: options.duplicate,
      reorderPercent: options.reorder,
      delayMs: options.delay,
      jitterMs: options.jitter,
    },
    staggerMs: options.stagger,
    ...(server ? { server } : {}),
    restarts: options.restarts,
    deadlineMs: options.deadline * 1000,
    comparesFiles: options.compare,
    timeScale: 1,
  };
  const signal = stopSignal();
  const report = await bootFleet(order, {
    rack: rack ?? (await onlyRack(run)),
    run,
    signal,
    ...(process.stderr.isTTY ? { progress: showProgress } : {}),
  }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
    console.error('power off');
    process.exitCode = 1;
  });
  if (!report) return;
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  if (options.json) console.log(JSON.stringify(report, undefined, 2));
  else await printReport(report, options.nodes === true);
  if (report.sum.failed > 0) process.exitCode = 1;
}

function showProgress({ ms, waiting, booting, booted, failed, bytes, framesIn }: FleetProgress): void {
  const counts = `${waiting} off, ${booting} booting, ${booted} booted, ${failed} failed`;
  process.stderr.write(
    `\r\x1b[K${(ms / 1000).toFixed(1)} s  ${counts}, ${formatBytes(bytes)} in whole files, ${framesIn} frames`,
  );
}

async function printReport(report: FleetReport, isByNode: boolean): Promise<void> {
  const { sumRows, nodeRows, failureLines } = await import('../sim/fleet-report.ts');
  if (isByNode) {
    const [heading = [], ...rows] = nodeRows(report);
    console.log(`${formatTable(heading, rows)}\n`);
  }
  const [heading = [], ...rows] = sumRows(report);
  console.log(formatTable(heading, rows));
  const { elapsedMs, framesIn, framesOut, overrun, longestPauseMs, cpuSeconds } = report.wire;
  const rate = Math.round((framesIn / elapsedMs) * 1000);
  console.log(
    `\n${(elapsedMs / 1000).toFixed(1)} s in all, ${framesIn} frames in (${rate}/s) and ${framesOut} out, ${cpuSeconds.toFixed(1)} CPU seconds for the fleet itself, seed ${report.seed}`,
  );
  if (overrun > 0)
    console.log(`${overrun} frames came faster than the fleet could take them: read nothing into the times`);
  if (longestPauseMs > 1_000)
    console.log(
      `the fleet itself did not get to run for ${longestPauseMs} ms: this machine has too much to do`,
    );
  if (report.sharedAddresses.length > 0)
    console.log(`given to more than one Pi: ${report.sharedAddresses.join(', ')}`);
  for (const line of failureLines(report)) console.log(line);
}

function number(most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= 0 && value <= most))
      throw new InvalidArgumentError(`Give a number from 0 to ${most}.`);
    return value;
  };
}

function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`Give a whole number from ${least} to ${most}.`);
    return value;
  };
}
