import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import { cpuSeconds } from '../../bench/usage.ts';
import type { NodesAnswer, StatusAnswer } from '../../src/api/schemas.ts';
import type { Lease } from '../../src/model/lease.ts';
import { type Ipv4, ipv4FromNumber, ipv4ToNumber, parseIpv4 } from '../../src/net/ipv4.ts';
import type { Serial } from '../../src/net/serial.ts';
import { factoryMac } from '../../src/sim/board.ts';
import { SqliteStore } from '../../src/store/sqlite-store.ts';
import { api } from '../rack/api.ts';
import { Appliance, eventually } from '../rack/appliance.ts';
import { Host } from '../rack/host.ts';
import type { CrowdMember, Part } from '../rack/node-crowd.ts';
import { sealGeneration } from '../rack/sealed.ts';

const OURS = '192.168.172.17' as Ipv4;
const FIRST = ipv4ToNumber(parseIpv4('192.168.180.0') as Ipv4);

/** How many nodes play each part, and what becomes of them: first what takes longest, last what does not last long. */
const PARTS: ReadonlyArray<{ part: Part | 'is off'; count: number; state: string; detail?: RegExp }> = [
  { part: 'falls silent', count: 40, state: 'silent' },
  { part: 'is off', count: 30, state: 'off' },
  { part: 'has its kernel', count: 40, state: 'kernel' },
  { part: 'mounts', count: 40, state: 'root mounted' },
  { part: 'starts', count: 20, state: 'root mounted' },
  { part: 'is up', count: 700, state: 'up' },
  { part: 'fails', count: 30, state: 'unhealthy', detail: /^nginx\.service failed$/ },
  {
    part: 'lies',
    count: 20,
    state: 'unhealthy',
    detail: /^it runs web-f{12}, and was given web-[0-9a-f]{12}$/,
  },
  { part: 'stops', count: 10, state: 'off', detail: /^it stopped in order$/ },
  { part: 'loads', count: 40, state: 'loading' },
  { part: 'asks', count: 30, state: 'asked' },
];
const COUNT = PARTS.reduce((sum, { count }) => sum + count, 0);

const members = PARTS.flatMap(({ part, count }) => Array.from({ length: count }, () => part)).map(
  (part, index) => ({
    serial: (0x20000000 + index * 7919).toString(16) as Serial,
    address: ipv4FromNumber(FIRST + 2 + index),
    part,
  }),
);
const ofPart = (part: string) => members.filter((member) => member.part === part);

/** Of milliseconds, each of one listing. */
const quantile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] as number;

describe(`${COUNT} nodes`, { timeout: 900_000 }, () => {
  let appliance: Appliance;
  let crowd: Host;
  let generation: string;

  before(async () => {
    const settings = 'dhcp: full, pool: 192.168.180.2-192.168.183.254, router: 192.168.172.1';
    appliance = await Appliance.make('thousand', settings, {
      nfs: 'none',
      generations: 'generations',
      log: 'info',
    });
    const folder = `${appliance.folder}/generations`;
    generation = await sealGeneration(folder, 'web', { 'start4.elf': 2_000_000 }, undefined, ['reports']);
    await appliance.inRack('ip', 'address', 'delete', '192.168.172.17/24', 'dev', 'br0');
    await appliance.inRack('ip', 'address', 'add', '192.168.172.17/16', 'dev', 'br0');
    await fillStore(appliance.folder);
    // The first start after a change compiles everything, and needs 30 MB for that; every later one does not.
    await appliance.start();
    await appliance.publish(generation);
    await appliance.stop();
    await appliance.start();
    crowd = await Host.plugIn(appliance, 'crowd', '192.168.172.99/16');
    // All addresses of the crowd are this machine's.
    await crowd.run('ip', 'route', 'add', 'local', '192.168.180.0/22', 'dev', 'lo');
    await crowd.run('ip', 'link', 'set', 'lo', 'up');
  });

  after(async () => {
    await crowd?.unplug();
    await appliance?.remove();
  });

  /** As they would be there after a year: added, known by their MACs, and with their addresses. */
  async function fillStore(folder: string): Promise<void> {
    await mkdir(`${folder}/state`, { recursive: true, mode: 0o700 });
    const store = new SqliteStore(`${folder}/state/state.db`);
    const key = `${folder}/key`;
    await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
    const [privateKey, publicKey] = await Promise.all(
      [key, `${key}.pub`].map((file) => readFile(file, 'utf8')),
    );
    const writes = members.flatMap(({ serial, address }) => {
      const mac = factoryMac('pi4', serial);
      const lease: Lease = {
        address,
        mac,
        interface: 'br0',
        state: 'bound',
        expiresAt: Date.now() + 86_400_000,
      };
      return [
        {
          kind: 'put' as const,
          key: `node/${serial}`,
          value: { serial, name: `pi-${serial}`, mac, image: 'web', role: 'web' },
        },
        { kind: 'put' as const, key: `lease/${address}`, value: lease },
        // The same for all: what takes a while is to make a thousand, and that is done when they are added.
        {
          kind: 'put' as const,
          key: `identity/${serial}`,
          value: { privateKey, publicKey: publicKey?.trim() },
        },
      ];
    });
    await store.transact({ writes });
    store.close();
  }

  const nodes = () => api<NodesAnswer>(appliance.socket, 'GET', '/v1/nodes');

  /** Of each part, the nodes that are not in its state: their states. */
  async function wrong(): Promise<Record<string, string[]>> {
    const found = new Map((await nodes()).nodes.map((node) => [node.serial, node]));
    return Object.fromEntries(
      PARTS.flatMap(({ part, state, detail = /^$/ }) => {
        const others = ofPart(part).flatMap(({ serial }) => {
          const node = found.get(serial);
          const isRight = node?.state === state && detail.test(node.detail ?? '');
          return isRight ? [] : [`${serial} ${node?.state}: ${node?.detail}`];
        });
        return others.length > 0 ? [[part, others.slice(0, 3)]] : [];
      }),
    );
  }

  it('are each in the state that they are in', async () => {
    const listener =
      "require('net').createServer(() => {}).listen(2049, '192.168.172.17', () => console.log('listens'))";
    const program = ['setpriv', '--pdeathsig', 'KILL', process.execPath, '-e', listener];
    const nfs = spawn('ip', ['netns', 'exec', `nb-${appliance.rack}`, ...program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      await once(nfs.stdout, 'data');
      const file = `${appliance.folder}/crowd.json`;
      const active = members.filter(({ part }) => part !== 'is off') as CrowdMember[];
      await writeFile(file, JSON.stringify({ server: OURS, port: 8064, generation, members: active }));
      const started = performance.now();
      await new Promise<void>((resolve) => {
        crowd.startScript('node-crowd.ts', [file], (line) => line === 'all' && resolve());
      });
      console.log(`# ${active.length} nodes booted in ${Math.round((performance.now() - started) / 1000)} s`);
      await Promise.all(
        ofPart('stops').map(({ serial }) =>
          eventually(120_000, () =>
            api(appliance.socket, 'POST', `/v1/nodes/${serial}/orders`, { order: 'reboot' }),
          ),
        ),
      );
      await eventually(240_000, async () => assert.deepEqual(await wrong(), {}));
    } finally {
      nfs.kill('SIGKILL');
    }
    const { nodes: all } = await nodes();
    const loading = all.find(({ serial }) => serial === ofPart('loads')[0]?.serial);
    assert.ok(
      loading?.bytes && loading.ofBytes && loading.bytes >= 2_000_000 && loading.bytes < loading.ofBytes,
    );
    const up = all.find(({ serial }) => serial === ofPart('is up')[0]?.serial);
    assert.equal(up?.runs, generation);
    assert.ok((up?.report?.clockOffset ?? 0) < -1e9, 'its clock is told of');
  });

  it('are told of by one event per change', async () => {
    const events = await api<Array<{ kind: string; serial?: string; state?: string; before?: string }>>(
      appliance.socket,
      'GET',
      '/v1/events?follow=false',
    );
    const changes = events.filter(({ kind }) => kind === 'node state');
    for (const { serial } of ofPart('falls silent')) {
      const last = changes.filter((event) => event.serial === serial).slice(-1);
      assert.deepEqual(
        last.map(({ state, before }) => [before, state]),
        [['up', 'silent']],
      );
    }
    const told = new Set(changes.map(({ serial, before, state }) => `${serial} ${before} ${state}`));
    assert.equal(told.size, changes.length);
  });

  it('are listed in a tenth of a second, by a service that stays small', async () => {
    const spent = cpuSeconds(appliance.pid);
    const bySocket: number[] = [];
    for (let run = 0; run < 200; run++) {
      const started = performance.now();
      assert.equal((await nodes()).nodes.length, COUNT);
      bySocket.push(performance.now() - started);
    }
    // Of the processor, so that it says the same on a machine that is busy with other things.
    const cpuMs = ((cpuSeconds(appliance.pid) - spent) * 1000) / bySocket.length;
    const byCommand: number[] = [];
    for (let run = 0; run < 20; run++) {
      const started = performance.now();
      const { nodes: listed } = await appliance.nodes();
      byCommand.push(performance.now() - started);
      assert.equal(listed.length, COUNT);
    }
    const { memoryBytes } = await api<StatusAnswer>(appliance.socket, 'GET', '/v1/status');
    const peak =
      Number(/VmHWM:\s+(\d+) kB/.exec(await readFile(`/proc/${appliance.pid}/status`, 'utf8'))?.[1]) * 1024;
    const figure = (name: string, values: readonly number[]) =>
      console.log(
        `# ${name}: p50 ${quantile(values, 0.5).toFixed(1)} ms, p99 ${quantile(values, 0.99).toFixed(1)} ms`,
      );
    figure('GET /v1/nodes', bySocket);
    figure('netboot nodes --json', byCommand);
    console.log(`# memory: ${(memoryBytes / 1e6).toFixed(1)} MB, at most ${(peak / 1e6).toFixed(1)} MB`);
    console.log(`# CPU of the service: ${cpuMs.toFixed(1)} ms a listing`);
    assert.ok(cpuMs < 100);
    assert.ok(memoryBytes < 150e6);
  });

  it('are in the states that evidence tells after a kill, and those that report are heard again', async () => {
    await sleep(1000); // states are written a quarter of a second later
    const before = (await nodes()).nodes;
    await appliance.stop('SIGKILL');
    await appliance.start();
    const after = (await nodes()).nodes;
    for (const [index, node] of after.entries()) {
      assert.deepEqual(
        [node.serial, node.state, node.since],
        [before[index]?.serial, before[index]?.state, before[index]?.since],
      );
    }
    await eventually(120_000, async () => {
      const heard = new Set((await nodes()).nodes.filter(({ report }) => report).map(({ serial }) => serial));
      assert.ok(ofPart('is up').every(({ serial }) => heard.has(serial as string)));
    });
    assert.deepEqual(await wrong(), {});
  });
});
