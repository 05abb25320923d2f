import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { execa } from 'execa';
import { run } from '../../src/host/run.ts';
import { livePi } from '../../src/sim/life.ts';
import { createRack, rackNamespace, removeRack } from '../../src/sim/rack.ts';
import type { Simulation } from '../../src/sim/simulate.ts';
import { eventually, NETBOOT } from '../rack/appliance.ts';
import { makeTree, removeTree, startDnsmasq } from './foreign-server.ts';
import { FULL, MENU, namespacesOf, PI4_FILES, S, serial } from './scene.ts';
import { tinyKernel } from './tiny-kernel.ts';

/** Virtual Pis over resets and power cuts, against dnsmasq; their firmware is real each time. */

const RACK = `lifetest-${process.pid}`;
const CMDLINE = 'nfsroot=192.168.172.17:/exports/images/web-0123456789ab,vers=3 systemd.hostname=pi-one';
const SOCKET = `/run/netboot-sim/${RACK}/${serial}.sock`;

let tree = '';
let dnsmasq: AsyncDisposable;

before(async () => {
  await createRack(run, RACK, { address: '192.168.172.17/24' });
  tree = await makeTree({
    ...PI4_FILES,
    [`${S}/cmdline.txt`]: CMDLINE,
    [`${S}/vmlinuz`]: gzipSync(tinyKernel('first light\n', 'reset')),
  });
  dnsmasq = await startDnsmasq(rackNamespace(RACK), 'br0', [
    ...FULL,
    ...MENU,
    '--enable-tftp',
    `--tftp-root=${tree}`,
  ]);
});
after(async () => {
  await dnsmasq[Symbol.asyncDispose]();
  await removeRack(run, RACK);
  await removeTree(tree);
});

/** A Pi that lives until it has said this so often. @returns all it said. */
async function liveUntil(text: string, times: number, simulation: Partial<Simulation>): Promise<string[]> {
  const stop = new AbortController();
  const lines: string[] = [];
  const print = (line: string) => {
    lines.push(line);
    if (lines.filter((said) => said.includes(text)).length === times) stop.abort();
  };
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(30_000)]);
  const pi = { run, rack: RACK, model: 'pi4', serial, boot: false, print, signal, ...simulation } as const;
  await assert.rejects(livePi(pi), /stopped|aborted/);
  assert.equal(lines.filter((said) => said.includes(text)).length, times, lines.join('\n'));
  assert.deepEqual(await namespacesOf(`${rackNamespace(RACK)}-${serial}`), []);
  return lines;
}

test('a guest that resets is followed by its firmware, which asks for everything anew', async () => {
  const lines = await liveUntil('│ first light', 3, { boot: true });
  for (const said of [' REQUEST ', '/vmlinuz → ', '── kernel served: vmlinuz']) {
    const count = lines.filter((line) => line.includes(said)).length;
    assert.ok(count >= 3, `${said}: ${count} times`);
  }
});

test('a simulated node whose kernel panics resets again and again; on another generation it does not', async () => {
  const agent = { failures: [{ generation: 'web-0123', how: 'panic' }] } as const;
  const lines = await liveUntil('── reset after', 2, { agent, timeScale: 0.1 });
  assert.ok(lines.some((line) => line.endsWith(': its kernel panicked')));
  assert.equal(lines.filter((line) => line.includes('── kernel served')).length, 2);
  const spared = { failures: [{ generation: 'web-9', how: 'panic' }] } as const;
  await liveUntil('nobody expects reports', 1, { agent: spared, timeScale: 0.1 });
});

test('a Pi 4 whose firmware gets nowhere begins anew', async () => {
  const stranger = { serial: 'ab000001' as typeof serial, timeScale: 0.05 };
  const lines: string[] = [];
  const stop = new AbortController();
  const print = (line: string) => {
    lines.push(line);
    if (lines.filter((said) => / FAILED /.test(said)).length === 2) stop.abort();
  };
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(30_000)]);
  await assert.rejects(
    livePi({ run, rack: RACK, model: 'pi4', boot: true, print, signal, ...stranger }),
    /stopped|aborted/,
  );
  assert.equal(lines.filter((said) => / FAILED /.test(said)).length, 2, lines.join('\n'));
});

test('its root is on an NFS server: a simulated node keeps a connection to that', async () => {
  const script = `require('node:net').createServer((socket) => {
    console.log('mounted'); socket.on('end', () => { console.log('gone'); process.exit() }).resume() }).listen(2049)`;
  const server = spawn('ip', ['netns', 'exec', rackNamespace(RACK), process.execPath, '-e', script]);
  const said: string[] = [];
  server.stdout.setEncoding('utf8').on('data', (text: string) => said.push(text));
  try {
    await liveUntil('root mounted', 1, { agent: {}, timeScale: 0.1 });
    assert.deepEqual(said.join('').split('\n').slice(0, 1), ['mounted']);
  } finally {
    server.kill('SIGKILL');
  }
});

/** `netboot sim …` of this rack. */
const sim = (...args: string[]) => execa(NETBOOT, ['sim', ...args, '--rack', RACK], { reject: false });
const page = async () => {
  const argv = ['netns', 'exec', rackNamespace(RACK), 'curl', '-sS', '--max-time', '2'];
  const leases = execFileSync('ip', ['-n', rackNamespace(RACK), 'neigh', 'show', 'dev', 'br0']).toString();
  const address = /^(192\.168\.172\.1\d\d) /m.exec(leases)?.[1] ?? 'no-neighbour';
  return (await execa('ip', [...argv, `http://${address}:8000/`])).stdout;
};

function plugIn(...args: string[]): { readonly pi: ChildProcess; readonly said: () => string } {
  const argv = ['sim', 'pi4', '--serial', serial, '--rack', RACK, '--outlet', ...args];
  const pi = spawn(NETBOOT, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  pi.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  return { pi, said: () => said };
}

test('an outlet: off cuts its power at once, on starts its firmware; whoever may not, may not', async () => {
  const { pi, said } = plugIn('--agent', '--serve', '8000');
  const ended = once(pi, 'exit');
  try {
    assert.equal(await eventually(20_000, page), 'pi-one runs web-0123456789ab');
    assert.equal(statSync(SOCKET).mode & 0o777, 0o600);
    assert.equal(statSync(`/run/netboot-sim/${RACK}`).mode & 0o777, 0o700);

    assert.equal((await sim('power', serial, 'off')).exitCode, 0);
    await assert.rejects(page());
    assert.deepEqual(await namespacesOf(`${rackNamespace(RACK)}-${serial}`), []);
    assert.equal((await sim('power', serial, 'off')).exitCode, 0);

    assert.equal((await sim('power', serial, 'on')).exitCode, 0);
    assert.equal((await sim('power', serial, 'on')).exitCode, 0); // has it already
    await eventually(20_000, page);
    assert.equal((await sim('power', serial, 'cycle')).exitCode, 0);
    await eventually(20_000, page);
    assert.equal(said().match(/── power on/g)?.length, 3);
    assert.equal(said().match(/── kernel served/g)?.length, 3);

    const twice = await execa(NETBOOT, ['sim', 'pi4', '--serial', serial, '--rack', RACK, '--outlet'], {
      reject: false,
    });
    assert.match(twice.stderr, /is running in rack/);
  } finally {
    pi.kill('SIGTERM');
    await ended;
  }
  assert.equal(existsSync(SOCKET), false);
  assert.match((await sim('power', serial, 'on')).stderr, /No virtual Pi .* with an outlet runs in rack/);
});

test('a failing page, and one that never answers', async () => {
  for (const [how, error] of [
    ['unit', /refused|Failed to connect/i],
    ['hang-page', /timed out/],
  ] as const) {
    const { pi, said } = plugIn('--agent', '--serve', '8000', '--fail', how);
    const ended = once(pi, 'exit');
    try {
      await eventually(20_000, async () => assert.match(said(), /nobody expects reports/));
      await eventually(10_000, () => assert.rejects(page(), error));
    } finally {
      pi.kill('SIGTERM');
      await ended;
    }
  }
});

test('taking the rack down ends a Pi in its outlet, on or off', async () => {
  for (const power of ['on', 'off'] as const) {
    const other = `${RACK}-${power}`;
    await createRack(run, other, { address: '192.168.173.17/24' });
    const argv = ['sim', 'pi4', '--serial', serial, '--rack', other, '--outlet', '--boot'];
    const pi = spawn(NETBOOT, argv, { stdio: ['ignore', 'ignore', 'inherit'] });
    const ended = once(pi, 'exit');
    await eventually(10_000, () => execa(NETBOOT, ['sim', 'power', serial, power, '--rack', other]));
    await removeRack(run, other);
    assert.deepEqual(await ended, [0, null]);
    assert.equal(existsSync(`/run/netboot-sim/${other}`), false);
    assert.deepEqual(await namespacesOf(rackNamespace(other)), []);
  }
});
