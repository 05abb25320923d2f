import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { execa } from 'execa';
import { run } from '../../src/host/run.ts';
import { fleetBoards, parseMix } from '../../src/sim/fleet-boards.ts';
import { bootFleet, type FleetOrder } from '../../src/sim/fleet-process.ts';
import { PERFECT } from '../../src/sim/impairment.ts';
import { createRack, rackNamespace, removeRack } from '../../src/sim/rack.ts';
import { makeTree, removeTree, startDnsmasq } from './foreign-server.ts';
import { FULL, namespacesOf, PADDED_MENU } from './scene.ts';

const RACK = `fleettest-${process.pid}`;
const NETBOOT = join(import.meta.dirname, '../../scripts/netboot');

before(() => createRack(run, RACK, { address: '192.168.172.17/24' }));
after(() => removeRack(run, RACK));

/** Every Pi drops its prefix, for nothing is below its serial. */
const ROOT = {
  'config.txt': 'arm_64bit=1\n',
  'cmdline.txt': 'root=/dev/nfs\n',
  'kernel8.img': Buffer.alloc(300_000, 'kernel'),
  'bootcode.bin': 'bootcode',
  'start.elf': 'start',
  'start4.elf': 'start4',
  'fixup.dat': 'fixup',
  'fixup4.dat': 'fixup4',
  'bcm2710-rpi-3-b.dtb': 'dtb',
  'bcm2710-rpi-3-b-plus.dtb': 'dtb',
  'bcm2711-rpi-4-b.dtb': 'dtb',
  'bcm2712-rpi-5-b.dtb': 'dtb',
};

const order = (more: Partial<FleetOrder>): FleetOrder => ({
  ...{ seed: 5, pis: 6, mix: parseMix('3b,3b+,3-card,4-old,4,5'), impairment: PERFECT, staggerMs: 0 },
  ...{ restarts: 0, deadlineMs: 20_000, comparesFiles: true, timeScale: 1 },
  ...more,
});
const boot = (given: FleetOrder) =>
  bootFleet(given, { rack: RACK, run, signal: AbortSignal.timeout(given.deadlineMs + 10_000) });

async function bootFromDnsmasq(tree: Record<string, string | Buffer>, given: FleetOrder) {
  const folder = await makeTree(tree);
  try {
    const tftp = ['--enable-tftp', `--tftp-root=${folder}`];
    await using _server = await startDnsmasq(rackNamespace(RACK), 'br0', [...FULL, ...PADDED_MENU, ...tftp]);
    return await boot(given);
  } finally {
    await removeTree(folder);
  }
}

test('every generation boots over the shared cable, and nothing is left of it', async () => {
  const report = await bootFromDnsmasq(ROOT, order({ staggerMs: 300 }));
  assert.deepEqual(report.nodes.map(({ reason }) => reason).filter(Boolean), []);
  assert.equal(report.sum.booted, 6);
  assert.deepEqual(await namespacesOf(`${rackNamespace(RACK)}-`), []);
  const boards = new Map(report.nodes.map((node) => [node.generation, node]));
  assert.equal(boards.get('5')?.kernel, 'kernel8.img');
  // Two exchanges of a Pi 3 without a card, one of all others; a 4 or 5 probes where a 3 does, and more.
  assert.ok((boards.get('3b')?.requests ?? 0) > (boards.get('3-card')?.requests ?? 0));
  assert.ok(report.nodes.every(({ misses, bytes }) => misses > 3 && bytes > 300_000));
  assert.deepEqual(report.sharedAddresses, []);
});

test('with delay and jitter the same boots take longer; each Pi answers ARP for itself all the while', async () => {
  const impairment = { ...PERFECT, delayMs: 2, jitterMs: 1 };
  const forget = ['-n', rackNamespace(RACK), 'neighbour', 'flush', 'dev', 'br0'];
  const forgetting = setInterval(() => void run('ip', forget).catch(() => {}), 100);
  const given = order({ impairment, mix: parseMix('4'), pis: 2 });
  const report = await bootFromDnsmasq(ROOT, given).finally(() => clearInterval(forgetting));
  assert.equal(report.sum.booted, 2);
  // At least 205 blocks of 1468 bytes and their ACKs, one after the other, 2 ms in each direction.
  assert.ok(report.sum.medianMs > 820, `${report.sum.medianMs} ms`);
});

test('nobody answers: a Pi 3 is dead after its first try, a Pi 4 begins anew as often as it may', async () => {
  const report = await boot(order({ restarts: 2, timeScale: 0.02 }));
  assert.deepEqual([report.sum.booted, report.sum.failed], [0, 6]);
  for (const { generation, reason, restarts, failures, resentDhcp } of report.nodes) {
    const isPi3 = generation.startsWith('3');
    assert.match(reason ?? '', isPi3 ? /stays dead until its power is cycled/ : /DHCP_TIMEOUT/);
    assert.equal(restarts, isPi3 ? 0 : 2, generation);
    assert.equal(failures.length, restarts);
    assert.ok(resentDhcp >= (isPi3 ? 3 : 15), `${generation}: ${resentDhcp}`);
  }
});

test('what has not booted when the time is over has failed', async () => {
  const report = await boot(order({ pis: 2, mix: parseMix('4,3-card'), deadlineMs: 1_000 }));
  assert.match(report.nodes[0]?.reason ?? '', /the time for the whole fleet was over/);
  assert.equal(report.sum.failed, 2);
});

test('only the named server is heard', async () => {
  const server = '192.168.172.18' as NonNullable<FleetOrder['server']>;
  const report = await bootFromDnsmasq(ROOT, order({ pis: 1, mix: parseMix('4'), timeScale: 0.05, server }));
  assert.match(report.nodes[0]?.reason ?? '', /no DHCP server answered/);
});

test('netboot sim rack: a table, JSON, and exit code 1 when a Pi failed', async () => {
  const folder = await makeTree(ROOT);
  try {
    const tftp = ['--enable-tftp', `--tftp-root=${folder}`];
    await using _server = await startDnsmasq(rackNamespace(RACK), 'br0', [...FULL, ...PADDED_MENU, ...tftp]);
    const fleet = ['sim', 'rack', RACK, '--pis', '3', '--mix', '4,5,3b+', '--seed', '9'];
    const good = await execa(NETBOOT, [...fleet, '--nodes'], { timeout: 20_000 });
    assert.match(
      good.stdout,
      /^serial +Pi +outcome .*(\n[0-9a-f]{8} +(4|5|3b\+) +booted .*){3}\n\nPis +count +booted/,
    );
    assert.match(good.stdout, /\nall +3 +3 +0 /);

    const told = await execa(NETBOOT, [...fleet, '--serials']);
    assert.deepEqual(
      told.stdout.split('\n').map((line) => line.split(' ')[0]),
      fleetBoards(9, 3, parseMix('4,5,3b+')).map(({ board }) => board.serial),
    );

    await rm(join(folder, 'bcm2712-rpi-5-b.dtb'));
    const bad = await execa(NETBOOT, [...fleet, '--restarts', '0', '--json'], {
      reject: false,
      timeout: 60_000,
    });
    assert.equal(bad.exitCode, 1);
    const report = JSON.parse(bad.stdout);
    assert.deepEqual([report.sum.booted, report.sum.failed, report.byGeneration['5'].failed], [2, 1, 1]);
    const failed = report.nodes.find((node: { outcome: string }) => node.outcome === 'failed');
    assert.match(failed.reason, /no device tree for a Pi 5/);
  } finally {
    await removeTree(folder);
  }
});

for (const { args, says } of [
  { args: ['--mix', '6'], says: /"6" is no part of a mix/ },
  { args: ['--server', 'here'], says: /"here" is no address of a server/ },
  { args: ['--loss', '101'], says: /Give a number from 0 to 100/ },
  { args: ['--pis', '0'], says: /Give a whole number from 1 to 4000/ },
])
  test(`netboot sim rack ${args.join(' ')} is refused`, async () => {
    const { exitCode, stderr } = await execa(NETBOOT, ['sim', 'rack', RACK, ...args], { reject: false });
    assert.ok(exitCode === 1 || exitCode === 2);
    assert.match(stderr, says);
  });

test('a rack that is not there is refused', async () => {
  const { exitCode, stderr } = await execa(NETBOOT, ['sim', 'rack', 'nowhere'], { reject: false });
  assert.equal(exitCode, 1);
  assert.match(stderr, /There is no rack "nowhere"/);
});
