import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { ipv4FromNumber } from '../src/net/ipv4.ts';
import { median } from './figures.ts';
import { CABLES, type Lab } from './lab.ts';
import { type DhcpLoad, runPerfdhcp } from './perfdhcp.ts';
import { dnsmasqDhcp, keaDhcp, NETBOOT, netbootDhcp } from './programs.ts';
import { Server, type ServerProgram } from './server.ts';
import { cpuSeconds, forgetPeakMemory, peakMemory } from './usage.ts';

export type DhcpServerName = 'netboot' | 'Kea' | 'dnsmasq';

export interface DhcpRun extends DhcpLoad {
  readonly serverCpuSeconds: number;
  readonly memory: number;
}

export interface DhcpResult {
  /** Leases there were, and clients that took turns. */
  readonly leases: number;
  readonly rate: number;
  readonly runs: ReadonlyMap<DhcpServerName, readonly DhcpRun[]>;
}

/** From few leases to {@link DhcpPlan.manyLeases}, each exchange a new client. */
export interface DhcpRise {
  readonly rate: number;
  /** `leases`: how many the server has at the end. */
  readonly runs: ReadonlyMap<DhcpServerName, DhcpRun & { readonly leases: number }>;
}

export interface DhcpPlan {
  readonly rates: readonly number[];
  readonly fewLeases: number;
  readonly manyLeases: number;
  /** Exchanges asked per second while leases rise. */
  readonly fillRate: number;
  readonly runs: number;
  readonly seconds: number;
}

/** A server that was asked too much works on for a while: this long it is waited for. */
const SETTLE_MS = 1_000;
const SETTLE_CHECK_MS = 100;
/** The first MAC of perfdhcp, whose clients count on from it. */
const FIRST_MAC = 0x000c01020304;

/** The three servers, each on a cable of its own. */
class DhcpBench implements AsyncDisposable {
  readonly #programs: Readonly<Record<DhcpServerName, ServerProgram>>;
  readonly #servers = new Map<DhcpServerName, Server>();

  private constructor(programs: Readonly<Record<DhcpServerName, ServerProgram>>) {
    this.#programs = programs;
  }

  static async start(folder: string): Promise<DhcpBench> {
    const programs = {
      netboot: await netbootDhcp(folder),
      Kea: await keaDhcp(folder),
      dnsmasq: await dnsmasqDhcp(folder),
    };
    const bench = new DhcpBench(programs);
    for (const name of bench.names) await bench.restart(name);
    return bench;
  }

  get names(): readonly DhcpServerName[] {
    return Object.keys(this.#programs) as DhcpServerName[];
  }

  async stop(name: DhcpServerName): Promise<void> {
    await this.#servers.get(name)?.stop();
    this.#servers.delete(name);
  }

  async restart(name: DhcpServerName): Promise<void> {
    await this.stop(name);
    this.#servers.set(name, await Server.start(this.#programs[name]));
  }

  async run(name: DhcpServerName, rate: number, clients: number, seconds: number): Promise<DhcpRun> {
    const server = this.#servers.get(name) as Server;
    forgetPeakMemory(server.pid);
    const before = cpuSeconds(server.pid);
    const load = await runPerfdhcp({ cable: this.#programs[name].cable, rate, clients, seconds });
    const serverCpuSeconds = cpuSeconds(server.pid) - before;
    const memory = peakMemory(server.pid);
    // dnsmasq works on for half a minute at what waits in its socket.
    if (!(await settle(server)) && name === 'dnsmasq') await this.restart(name);
    return { ...load, serverCpuSeconds, memory };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.names) await this.stop(name);
  }
}

export interface DhcpMeasured {
  readonly rise: DhcpRise;
  readonly results: readonly DhcpResult[];
}

/** Few leases, then the rise to many, then many; in each cell the servers take turns. */
export async function measureDhcp(
  lab: Lab,
  plan: DhcpPlan,
  say: (line: string) => void,
): Promise<DhcpMeasured> {
  await using bench = await DhcpBench.start(lab.folder);
  // The first exchanges find a cold program, and make the leases; the next ones warm it up.
  for (const name of bench.names) await bench.run(name, 1_000, plan.fewLeases, plan.fewLeases / 1_000 + 0.5);
  for (const name of bench.names) await bench.run(name, plan.fillRate, plan.fewLeases, plan.seconds * 2);
  const few = await measureRates(bench, plan, plan.fewLeases, say);

  const fillSeconds = Math.ceil(plan.manyLeases / plan.fillRate) + 1;
  const runs = new Map<DhcpServerName, DhcpRun & { leases: number }>();
  for (const name of bench.names) {
    const run = await bench.run(name, plan.fillRate, plan.manyLeases, fillSeconds);
    runs.set(name, { ...run, leases: await countLeases(name, lab.folder) });
  }
  const rise = { rate: plan.fillRate, runs };
  say(
    `rising to ${plan.manyLeases} leases: ${describe(new Map([...runs].map(([name, run]) => [name, [run]])))}`,
  );
  // dnsmasq would need many minutes: it starts with them.
  await bench.stop('dnsmasq');
  await writeDnsmasqLeases(join(lab.folder, 'dnsmasq.leases'), plan.manyLeases);
  await bench.restart('dnsmasq');
  const many = await measureRates(bench, plan, plan.manyLeases, say);
  return { rise, results: [...few, ...many] };
}

async function measureRates(
  bench: DhcpBench,
  plan: DhcpPlan,
  leases: number,
  say: (line: string) => void,
): Promise<DhcpResult[]> {
  const results: DhcpResult[] = [];
  for (const rate of plan.rates) {
    const runs = new Map(bench.names.map((name) => [name, [] as DhcpRun[]]));
    for (let run = 0; run < plan.runs; run++) {
      for (const [name, done] of runs) done.push(await bench.run(name, rate, leases, plan.seconds));
    }
    results.push({ leases, rate, runs });
    say(`${leases} leases, ${rate} exchanges/s asked: ${describe(runs)}`);
  }
  return results;
}

function describe(runs: ReadonlyMap<DhcpServerName, readonly DhcpRun[]>): string {
  return [...runs]
    .map(([name, done]) => {
      const rate = median(done.map((run) => run.exchangesPerSecond));
      return `${name} ${rate}/s (${median(done.map((run) => run.lossPercent))} % lost)`;
    })
    .join(', ');
}

async function countLeases(name: DhcpServerName, folder: string): Promise<number> {
  if (name === 'netboot') {
    const { stdout } = await execa(NETBOOT, ['--config', join(folder, 'netboot.yaml'), 'leases', '--json']);
    return (JSON.parse(stdout) as unknown[]).length;
  }
  const isKea = name === 'Kea';
  const lines = (await readFile(join(folder, isKea ? 'kea-leases.csv' : 'dnsmasq.leases'), 'utf8'))
    .trim()
    .split('\n');
  return isKea ? new Set(lines.slice(1).map((line) => line.split(',')[0])).size : lines.length;
}

/** Waits until the server has worked off what was sent to it. @returns whether it has. */
async function settle(server: Server): Promise<boolean> {
  const until = Date.now() + SETTLE_MS;
  for (let before = cpuSeconds(server.pid); Date.now() < until; ) {
    await sleep(SETTLE_CHECK_MS);
    const now = cpuSeconds(server.pid);
    if (now - before <= 0.01) return true;
    before = now;
  }
  return false;
}

/** One line per lease: when it ends, MAC, address, name, client identifier. */
async function writeDnsmasqLeases(file: string, count: number): Promise<void> {
  const { network } = CABLES.dnsmasq;
  const [first = 0, second = 0] = network.split('.').map(Number);
  const firstAddress = first * 2 ** 24 + second * 2 ** 16 + 2 ** 8;
  const ends = Math.floor(Date.now() / 1e3) + 43_200;
  const lines = Array.from({ length: count }, (_, number) => {
    const mac = (FIRST_MAC + number)
      .toString(16)
      .padStart(12, '0')
      .replace(/..(?!$)/g, '$&:');
    return `${ends} ${mac} ${ipv4FromNumber(firstAddress + number)} * *\n`;
  });
  await writeFile(file, lines.join(''));
}
