import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import type { StatusAnswer } from '../../src/api/schemas.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import type { Serial } from '../../src/net/serial.ts';
import { api } from '../rack/api.ts';
import { Appliance } from '../rack/appliance.ts';
import { Host } from '../rack/host.ts';
import { sealGeneration } from '../rack/sealed.ts';
import type { AttackCounts, AttackOrder, AttackReport, AttackTask } from './attack.ts';
import type { GoodBoot, GoodTask } from './good-client.ts';
import { openDescriptors, queueDrops, residentBytes } from './vital-signs.ts';

/** A second network, where another server gives the addresses: port 4011 is open there. */
const SECOND = { bridge: 'br1', server: '192.168.173.17' };
const FIRST = { bridge: 'br0', server: '192.168.172.17' };
const FULL = 'dhcp: full, pool: 192.168.172.100-192.168.172.199, lease: 2m';
const GOOD = {
  serial: 'ab000004' as Serial,
  mac: 'dc:a6:32:00:ab:04' as Mac,
  address: '192.168.172.21' as Ipv4,
};
const HTTP_PORT = 80;

const STEP_MS = 500;
const RATE = { first: 8_000, least: 1_000, most: 400_000 };
/** The share of datagrams that find their socket's queue full, above which the attacker slows down. */
const MOST_DROPPED = 0.02;

export interface CampaignOptions {
  readonly seconds: number;
  readonly packets: number;
  readonly seed: number;
  /** `tftp.workers` of the service. */
  readonly workers: number;
  readonly onProgress: (line: string) => void;
}

/** What became of the service, and of the honest client beside it. */
export interface CampaignResult {
  readonly sent: AttackCounts;
  readonly total: number;
  readonly seconds: number;
  /** Datagrams the service took out of its queues, by its own counters and the kernel's. */
  readonly queueDrops: number;
  readonly answersHeard: number;
  readonly transfersEntered: number;
  readonly boots: readonly GoodBoot[];
  readonly hasSurvived: boolean;
  /** What the service wrote that it should never have to. */
  readonly alarms: readonly string[];
  /** Lines it wrote, warnings mostly. */
  readonly logLines: number;
  /** Resident bytes, twice a second. */
  readonly memory: readonly number[];
  /** Open files, as often. */
  readonly descriptors: readonly number[];
  readonly counters: StatusAnswer['counters'];
}

/** Sets an attacker on a real `netboot serve`, with an honest Pi that boots all the while. */
export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const appliance = await Appliance.make('fuzz', `${FULL} }, ${SECOND.bridge}: { dhcp: proxy`, {
    nfs: 'none',
    generations: 'generations',
    log: 'info',
    settings: [`tftp: { root: FOLDER/plain, workers: ${options.workers} }`],
  });
  const hosts: Host[] = [];
  try {
    await addSecondNetwork(appliance);
    await mkdir(`${appliance.folder}/plain`);
    await writeFile(`${appliance.folder}/plain/public.bin`, 'PUBLIC\n'.repeat(40_000));
    const generation = await sealGeneration(`${appliance.folder}/generations`);
    await appliance.start();
    await appliance.publish(generation);
    const named = ['--image', 'web', '--mac', GOOD.mac, '--ip', GOOD.address];
    await appliance.netboot('add-node', GOOD.serial, ...named);
    const good = await Host.plugIn(appliance, 'good', `${GOOD.address}/24`);
    await execa('ip', ['-n', good.namespace, 'link', 'set', 'eth0', 'address', GOOD.mac]);
    const attacker = await Host.plugIn(appliance, 'attacker', '192.168.172.66/24');
    hosts.push(good, attacker);
    await plugIntoSecond(appliance, attacker);
    return await attack(appliance, good, attacker, generation, options);
  } finally {
    for (const host of hosts) await host.unplug();
    await appliance.remove();
  }
}

async function attack(
  appliance: Appliance,
  good: Host,
  attacker: Host,
  generation: string,
  { seconds, packets, seed, onProgress }: CampaignOptions,
): Promise<CampaignResult> {
  const http = (await listensTo(appliance, HTTP_PORT)) ? { httpPort: HTTP_PORT } : {};
  const wires = [
    {
      interface: 'eth0',
      server: FIRST.server,
      serverMac: await macOf(appliance, FIRST.bridge),
      mode: 'full',
    },
    {
      interface: 'eth1',
      server: SECOND.server,
      serverMac: await macOf(appliance, SECOND.bridge),
      mode: 'proxy',
    },
  ] as const;
  const boots: GoodBoot[] = [];
  const files = await hashes(`${appliance.folder}/generations/${generation}/boot`);
  const goodTask: GoodTask = { ...GOOD, server: FIRST.server as Ipv4, files, ...http };
  const pi = start(good, 'good-client.ts', goodTask, (line) => boots.push(JSON.parse(line) as GoodBoot));

  let report: AttackReport | undefined;
  const task: AttackTask = { wires, seed, rate: RATE.first, packets, ...http };
  const villain = start(attacker, 'attacker.ts', task, (line) => {
    report = JSON.parse(line) as AttackReport;
  });
  const villainEnded = once(villain, 'exit');
  const order = (what: AttackOrder) => villain.stdin?.write(`${JSON.stringify(what)}\n`);

  const { pid } = appliance;
  const memory: number[] = [];
  const descriptors: number[] = [];
  const startedAt = performance.now();
  let hasSurvived = true;
  let rate: number = RATE.first;
  let before = { sent: 0, drops: await queueDrops(pid) };
  const dropsAtStart = before.drops;
  const elapsed = () => (performance.now() - startedAt) / 1000;
  for (let step = 1; elapsed() < seconds && villain.exitCode === null; step++) {
    await sleep(STEP_MS);
    const resident = await residentBytes(pid);
    if (resident === undefined) {
      hasSurvived = false;
      order({ dump: await wireFixture() });
      break;
    }
    memory.push(resident);
    descriptors.push(await openDescriptors(pid));
    const now = { sent: sumOf(report?.sent), drops: await queueDrops(pid) };
    const lost = (now.drops - before.drops) / Math.max(1, now.sent - before.sent);
    if (now.sent > before.sent) rate = lost > MOST_DROPPED ? rate * 0.8 : rate * 1.1;
    rate = Math.min(RATE.most, Math.max(RATE.least, rate));
    order({ rate: Math.round(rate) });
    before = now;
    if (step % 20 === 0) onProgress(progress(elapsed(), now.sent, rate, resident, boots));
  }
  order({ stop: true });
  await Promise.race([villainEnded, sleep(5_000, undefined, { ref: false })]);
  const attackSeconds = elapsed();
  villain.kill('SIGKILL');
  await untilBooted(boots); // the last boots are disturbed by nobody
  pi.kill('SIGKILL');

  const log = await appliance.log();
  const status = await api<StatusAnswer>(appliance.socket, 'GET', '/v1/status').catch(() => undefined);
  return {
    sent: report?.sent ?? { dhcp: 0, pxe: 0, rival: 0, tftp: 0, transfer: 0, extreme: 0, http: 0 },
    total: sumOf(report?.sent),
    seconds: attackSeconds,
    queueDrops: before.drops - dropsAtStart,
    answersHeard: report?.heard ?? 0,
    transfersEntered: report?.transfers ?? 0,
    boots,
    hasSurvived: hasSurvived && status?.pid === pid,
    alarms: alarmsIn(log),
    logLines: log.split('\n').length - 1,
    memory,
    descriptors,
    counters: status?.counters ?? ({} as StatusAnswer['counters']),
  };
}

/** Lines of the log that tell of a mistake of ours, or were written by Node when it gave up. */
function alarmsIn(log: string): string[] {
  const isAlarm = (line: string): boolean =>
    /"level":"(error|fatal)"/.test(line) || /^\S*Error: |Unhandled|FATAL ERROR|internalError/.test(line);
  return log.split('\n').filter(isAlarm);
}

/** Two boots more: the one under way, and a whole one. One that fails takes 45 s at most. */
async function untilBooted(boots: readonly GoodBoot[]): Promise<void> {
  const [enough, until] = [boots.length + 2, performance.now() + 60_000];
  while (boots.length < enough && performance.now() < until) await sleep(100);
}

function progress(
  seconds: number,
  sent: number,
  rate: number,
  resident: number,
  boots: readonly GoodBoot[],
): string {
  const failed = boots.filter((boot) => 'failed' in boot).length;
  const perSecond = Math.round(rate).toLocaleString('en');
  return [
    `${seconds.toFixed(0)} s`,
    `${sent.toLocaleString('en')} packets (now ${perSecond}/s)`,
    `${mebibytes(resident)} MiB`,
    `${boots.length - failed} boots, ${failed} failed`,
  ].join(', ');
}

export function mebibytes(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}

function sumOf(counts: AttackCounts | undefined): number {
  return Object.values(counts ?? {}).reduce((sum, count) => sum + count, 0);
}

/** Starts a program of this folder on a machine of the rack; its standard input takes orders. */
function start(host: Host, script: string, task: object, onLine: (line: string) => void): ChildProcess {
  const program = [process.execPath, join(import.meta.dirname, script), JSON.stringify(task)];
  const argv = ['netns', 'exec', host.namespace, 'setpriv', '--pdeathsig', 'KILL', ...program];
  const child = spawn('ip', argv, { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.on('error', () => {}); // it may have ended by itself
  createInterface({ input: child.stdout }).on('line', onLine);
  return child;
}

async function addSecondNetwork(appliance: Appliance): Promise<void> {
  const ip = (...args: string[]) => execa('ip', ['-n', `nb-${appliance.rack}`, ...args]);
  await ip('link', 'add', SECOND.bridge, 'type', 'bridge');
  await ip('address', 'add', `${SECOND.server}/24`, 'dev', SECOND.bridge);
  await ip('link', 'set', SECOND.bridge, 'up');
}

async function plugIntoSecond(appliance: Appliance, host: Host): Promise<void> {
  const rack = `nb-${appliance.rack}`;
  const peer = ['peer', 'name', 'eth1', 'netns', host.namespace];
  await execa('ip', ['-n', rack, 'link', 'add', 'attacker1', 'type', 'veth', ...peer]);
  await execa('ip', ['-n', rack, 'link', 'set', 'attacker1', 'master', SECOND.bridge, 'up']);
  await execa('ip', ['-n', host.namespace, 'address', 'add', '192.168.173.66/24', 'dev', 'eth1']);
  await execa('ip', ['-n', host.namespace, 'link', 'set', 'eth1', 'up']);
}

async function macOf(appliance: Appliance, name: string): Promise<string> {
  return (await appliance.inRack('cat', `/sys/class/net/${name}/address`)).trim();
}

async function listensTo(appliance: Appliance, port: number): Promise<boolean> {
  return (await appliance.inRack('ss', '-Hltn', `sport = :${port}`)).trim() !== '';
}

async function hashes(folder: string): Promise<Record<string, string>> {
  const names = ['start4.elf', 'overlays/overlay_map.dtb', 'kernel8.img'];
  const entries = names.map(async (name) => {
    const hash = createHash('sha256').update(await readFile(join(folder, name)));
    return [name, hash.digest('hex')] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

async function wireFixture(): Promise<string> {
  const folder = join(import.meta.dirname, 'fixtures/wire');
  await mkdir(folder, { recursive: true });
  return join(
    folder,
    `${new Date()
      .toISOString()
      .replace(/[^0-9]/g, '')
      .slice(0, 14)}.bin`,
  );
}
