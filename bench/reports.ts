import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import type { NodesAnswer, StatusAnswer } from '../src/api/schemas.ts';
import { type Ipv4, ipv4FromNumber, ipv4ToNumber } from '../src/net/ipv4.ts';
import { api } from '../test/rack/api.ts';
import { sealGeneration } from '../test/rack/sealed.ts';
import { median } from './figures.ts';
import { atLoad, CABLES, type Lab, onLoadProcessor, onServerProcessor } from './lab.ts';
import { netbootReports } from './programs.ts';
import { type ReportLoad, serialOfNode } from './report-load.ts';
import { Server } from './server.ts';
import { cpuSeconds, forgetPeakMemory, peakMemory } from './usage.ts';

export interface ReportsPlan {
  readonly nodes: number;
  /** Nodes come up over this time, as their reports then do over each minute. */
  readonly spreadSeconds: number;
  readonly seconds: number;
}

export interface ReportsResult extends ReportsPlan {
  /** CPU of the service, in percent of one processor: with its nodes added and none of them up, and while they report. */
  readonly idlePercent: number;
  readonly percent: number;
  /** Taken while it was measured. */
  readonly reports: number;
  readonly troubles: number;
  /** Largest resident memory of the service while it was measured, in MiB, and with its nodes added and none of them up. */
  readonly memory: number;
  readonly idleMemory: number;
  /** Of `GET /v1/nodes` over the API's socket, while the nodes report. */
  readonly listingMs: number;
  /** How many nodes are in which state, at the end. */
  readonly states: Readonly<Record<string, number>>;
  /** From the order to when every tenth node has said that it stops. */
  readonly orderMs: number;
}

const READY_MS = 180_000;
const LISTINGS = 21;
const ADDING_AT_ONCE = 20;
/** What was begun by the adding of nodes has ended: their host keys, the exports. */
const SETTLE_MS = 5000;

/** Nodes that report once a minute, each from an address of its own, over a cable of their own. */
export async function measureReports(
  lab: Lab,
  plan: ReportsPlan,
  say: (line: string) => void,
): Promise<ReportsResult> {
  const { nodes, seconds, spreadSeconds } = plan;
  const folder = join(lab.folder, 'reports');
  await mkdir(join(folder, 'generations'), { recursive: true });
  const generation = await sealGeneration(join(folder, 'generations'), 'web', {}, undefined, ['reports']);
  const program = await netbootReports(folder);
  await using server = await Server.start({ ...program, argv: onServerProcessor(program.argv) });
  const socket = join(folder, 'api.sock');
  await api(socket, 'POST', '/v1/images/web/publish', { generation });
  for (let begun = 0; begun < nodes; begun += ADDING_AT_ONCE) {
    const count = Math.min(ADDING_AT_ONCE, nodes - begun);
    await Promise.all(
      Array.from({ length: count }, (_, at) =>
        api(socket, 'POST', '/v1/nodes', { serial: serialOfNode(begun + at), image: 'web' }),
      ),
    );
  }
  await api(socket, 'GET', '/v1/known-hosts'); // every node has its key
  await sleep(SETTLE_MS);
  forgetPeakMemory(server.pid);
  const idlePercent = await percentOver(server.pid, Math.min(20, seconds));
  const idleMemory = peakMemory(server.pid);
  say(`${nodes} nodes added; without them, the service takes ${idlePercent.toFixed(2)} % of a processor`);

  await using load = await Load.start(plan);
  await load.until(READY_MS + spreadSeconds * 1000, async ({ identities }) => {
    const { counters } = await api<StatusAnswer>(socket, 'GET', '/v1/status');
    return identities === nodes && (counters.reports?.open ?? 0) >= nodes;
  });
  say(`${nodes} nodes report`);
  await sleep(SETTLE_MS);
  const before = load.now;
  forgetPeakMemory(server.pid);
  const percent = await percentOver(server.pid, seconds);
  const memory = peakMemory(server.pid);
  const after = load.now;

  const listings: number[] = [];
  let answer: NodesAnswer | undefined;
  for (let count = 0; count < LISTINGS; count++) {
    const startedAt = performance.now();
    answer = await api<NodesAnswer>(socket, 'GET', '/v1/nodes');
    listings.push(performance.now() - startedAt);
    await sleep(50);
  }
  const states: Record<string, number> = {};
  for (const { state } of answer?.nodes ?? []) states[state] = (states[state] ?? 0) + 1;

  const startedAt = performance.now();
  const told = Array.from({ length: Math.ceil(nodes / 10) }, (_, at) => serialOfNode(at * 10));
  await Promise.all(
    told.map((serial) => api(socket, 'POST', `/v1/nodes/${serial}/orders`, { order: 'reboot' })),
  );
  const orderMs = performance.now() - startedAt;
  const troubles = load.now.troubles;
  if (load.now.lastTrouble !== undefined) say(`last trouble of a node: ${load.now.lastTrouble}`);
  return {
    ...plan,
    ...{ idlePercent, percent, memory, idleMemory, states, orderMs, troubles },
    reports: after.reports - before.reports,
    listingMs: median(listings),
  };
}

function addressesOf(nodes: number): string[] {
  const first = ipv4ToNumber(`${CABLES.netboot.network}.128.1` as Ipv4);
  return Array.from({ length: nodes }, (_, nth) => ipv4FromNumber(first + nth));
}

async function runAtLoad(argv: readonly string[]): Promise<string> {
  const [command = '', ...args] = atLoad(argv);
  return (await execa(command, args)).stdout;
}

async function percentOver(pid: number, seconds: number): Promise<number> {
  const [cpu, startedAt] = [cpuSeconds(pid), performance.now()];
  await sleep(seconds * 1000);
  return ((cpuSeconds(pid) - cpu) / ((performance.now() - startedAt) / 1000)) * 100;
}

/** The simulated nodes, in a process and a namespace of their own. */
class Load implements AsyncDisposable {
  readonly #child: ChildProcess;
  #now: ReportLoad = { identities: 0, reporting: 0, reports: 0, orders: 0, troubles: 0 };

  private constructor(child: ChildProcess) {
    this.#child = child;
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    lines.on('line', (line) => {
      this.#now = JSON.parse(line) as ReportLoad;
    });
  }

  static async start({ nodes, spreadSeconds }: ReportsPlan): Promise<Load> {
    const { interface: name, network, server } = CABLES.netboot;
    // All of them are the load's own, without a thousand addresses on its interface. The service's kernel knows them by
    // heart: for what it finds by ARP, Linux has room for a thousand on all wires together (gc_thresh3).
    await runAtLoad(['ip', 'route', 'replace', 'local', `${network}.128.0/17`, 'dev', name]);
    const [card] = JSON.parse(await runAtLoad(['ip', '-j', 'link', 'show', name])) as [{ address: string }];
    const addresses = addressesOf(nodes);
    const known = addresses.map(
      (address) => `neigh replace ${address} lladdr ${card.address} dev ${name} nud permanent`,
    );
    await execa('ip', ['-n', CABLES.netboot.namespace, '-batch', '-'], { input: known.join('\n') });
    const entry = join(import.meta.dirname, 'report-load.ts');
    const [first = ''] = addresses;
    const argv = [process.execPath, entry, server, first, String(nodes), String(spreadSeconds)];
    const [command = '', ...args] = onLoadProcessor(atLoad(argv));
    return new Load(spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] }));
  }

  get now(): ReportLoad {
    if (this.#child.exitCode !== null) throw new Error('the simulated nodes have ended');
    return this.#now;
  }

  /** @throws Error with where it stands when the time is over. */
  async until(withinMs: number, isReached: (now: ReportLoad) => Promise<boolean>): Promise<void> {
    for (const until = Date.now() + withinMs; !(await isReached(this.now)); await sleep(500))
      if (Date.now() > until) throw new Error(`not reached: ${JSON.stringify(this.now)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    if (this.#child.exitCode === null && this.#child.signalCode === null)
      await new Promise((resolve) => this.#child.once('exit', resolve));
  }
}
