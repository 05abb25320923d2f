import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import { run } from '../../src/host/run.ts';
import { DEFAULT_MIX } from '../../src/sim/fleet-boards.ts';
import { bootFleet, type FleetOrder } from '../../src/sim/fleet-process.ts';
import type { FleetReport } from '../../src/sim/fleet-report.ts';
import { createRack, rackNamespace, removeRack } from '../../src/sim/rack.ts';
import { startDnsmasq } from '../sim/foreign-server.ts';
import { Appliance } from './appliance.ts';
import { FIRMWARE_FILES, noise, sealGeneration } from './sealed.ts';

/**
 * A rack that powers on at once: a fleet of virtual Pis against one server in a rack made for it. As a program:
 * `storm.ts ours|dnsmasq [--pis 200] [--seed 1] [--loss 1] [--duplicate 0.5] [--reorder 0.5] [--deadline 300]` prints
 * the report as JSON; its `server` has what the server spent.
 */
export type StormServer = 'ours' | 'dnsmasq';

export interface StormReport extends FleetReport {
  readonly server: { readonly name: StormServer; readonly cpuSeconds: number; readonly memoryMiB: number };
}

/** About 40 MB a boot, most of it in kernel and initramfs, each of which fits into 65535 blocks of 512 bytes. */
export const STORM_FILES: Readonly<Record<string, number>> = {
  'bootcode.bin': 52_000,
  'start.elf': 3_000_000,
  'start4.elf': 2_300_000,
  'fixup.dat': 7_000,
  'fixup4.dat': 5_000,
  'overlays/overlay_map.dtb': 5_000,
  'bcm2710-rpi-3-b.dtb': 32_000,
  'bcm2710-rpi-3-b-plus.dtb': 33_000,
  'bcm2711-rpi-4-b.dtb': 55_000,
  'bcm2712-rpi-5-b.dtb': 77_000,
  'kernel8.img': 18_000_000,
  initramfs8: 19_000_000,
};

export const STORM: FleetOrder = {
  seed: 1,
  pis: 200,
  mix: DEFAULT_MIX,
  impairment: { lossPercent: 1, duplicatePercent: 0.5, reorderPercent: 0.5, delayMs: 0, jitterMs: 0 },
  staggerMs: 0,
  restarts: 3,
  deadlineMs: 300_000,
  comparesFiles: true,
  timeScale: 1,
};

const POOL = ['192.168.172.20', '192.168.172.250'] as const;
const CONFIG = ['arm_64bit=1', 'auto_initramfs=1'];

/** @param settings of the appliance, further lines of its configuration. */
export function stormOf(
  server: StormServer,
  order: FleetOrder,
  files = STORM_FILES,
  settings: readonly string[] = [],
): Promise<StormReport> {
  return server === 'ours' ? stormAtOurs(order, files, settings) : stormAtDnsmasq(order, files);
}

async function stormAtOurs(
  order: FleetOrder,
  files: Readonly<Record<string, number>>,
  settings: readonly string[],
): Promise<StormReport> {
  const appliance = await Appliance.make('storm', `dhcp: full, pool: ${POOL.join('-')}, lease: 1h`, {
    nfs: 'none',
    generations: 'generations',
    settings: ['nodes: { unknown: serve, defaultImage: web }', ...settings],
  });
  try {
    const generation = await sealGeneration(`${appliance.folder}/generations`, 'web', files);
    await appliance.start();
    await appliance.publish(generation);
    const before = await spentBy(appliance.pid);
    const report = await bootIn(appliance.rack, order);
    const after = await spentBy(appliance.pid);
    const cpuSeconds = after.cpuSeconds - before.cpuSeconds;
    return { ...report, server: { name: 'ours', cpuSeconds, memoryMiB: after.memoryMiB } };
  } finally {
    await appliance.remove();
  }
}

async function stormAtDnsmasq(
  order: FleetOrder,
  files: Readonly<Record<string, number>>,
): Promise<StormReport> {
  const rack = `stormdm-${process.pid}`;
  const tree = await mkdtemp(join(tmpdir(), 'netboot-storm-'));
  try {
    await createRack(run, rack, { address: '192.168.172.17/24' });
    await writeTree(tree, files);
    await using dnsmasq = await startDnsmasq(rackNamespace(rack), 'br0', [
      `--dhcp-range=${POOL.join(',')},255.255.255.0,1h`,
      '--pxe-service=0,"Raspberry Pi Boot   "',
      '--enable-tftp',
      `--tftp-root=${tree}`,
      '--tftp-max=1000',
    ]);
    const pid = await pidOf(rackNamespace(rack), 'dnsmasq');
    const before = await spentBy(pid);
    const report = await bootIn(rack, order);
    const after = await spentBy(pid);
    dnsmasq.log.length = 0;
    const cpuSeconds = after.cpuSeconds - before.cpuSeconds;
    return { ...report, server: { name: 'dnsmasq', cpuSeconds, memoryMiB: after.memoryMiB } };
  } finally {
    await removeRack(run, rack);
    await rm(tree, { recursive: true, force: true });
  }
}

/** The same boot files below one root: every Pi drops its prefix when it finds nothing there. */
async function writeTree(tree: string, files: Readonly<Record<string, number>>): Promise<void> {
  const write = async (name: string, bytes: Uint8Array | string) => {
    await mkdir(dirname(join(tree, name)), { recursive: true });
    await writeFile(join(tree, name), bytes);
  };
  for (const name of FIRMWARE_FILES) await write(name, noise(name, files[name] ?? 2_000));
  await write('kernel8.img', noise('kernel8.img', files['kernel8.img'] ?? 500_000));
  await write('config.txt', `${CONFIG.join('\n')}\n`);
  await write('cmdline.txt', 'console=serial0,115200 root=/dev/nfs ip=dhcp\n');
}

const bootIn = (rack: string, order: FleetOrder) =>
  bootFleet(order, { rack, run, signal: AbortSignal.timeout(order.deadlineMs + 60_000) });

/** CPU time of a process with its threads, and its memory, as the kernel counts them. */
async function spentBy(pid: number): Promise<{ cpuSeconds: number; memoryMiB: number }> {
  const { stdout } = await execa('ps', ['-o', 'cputimes=,rss=', '-p', String(pid)]);
  const [cpuSeconds = 0, rss = 0] = stdout.trim().split(/\s+/).map(Number);
  return { cpuSeconds, memoryMiB: Math.round(rss / 1024) };
}

async function pidOf(namespace: string, program: string): Promise<number> {
  const { stdout } = await execa('ip', ['netns', 'pids', namespace]);
  const { stdout: found } = await execa('ps', ['-o', 'pid=', '-C', program]);
  const inside = new Set(stdout.split(/\s+/));
  const pid = found.split(/\s+/).find((candidate) => candidate !== '' && inside.has(candidate));
  if (pid === undefined) throw new Error(`${program} does not run in ${namespace}`);
  return Number(pid);
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ...{ pis: { type: 'string' }, seed: { type: 'string' }, loss: { type: 'string' } },
      ...{ duplicate: { type: 'string' }, reorder: { type: 'string' }, deadline: { type: 'string' } },
    },
  });
  const number = (text: string | undefined, otherwise: number) =>
    text === undefined ? otherwise : Number(text);
  const report = await stormOf(positionals[0] === 'dnsmasq' ? 'dnsmasq' : 'ours', {
    ...STORM,
    pis: number(values.pis, STORM.pis),
    seed: number(values.seed, STORM.seed),
    deadlineMs: number(values.deadline, 300) * 1000,
    impairment: {
      ...STORM.impairment,
      lossPercent: number(values.loss, 1),
      duplicatePercent: number(values.duplicate, 0.5),
      reorderPercent: number(values.reorder, 0.5),
    },
  });
  console.log(JSON.stringify(report, undefined, 2));
}
