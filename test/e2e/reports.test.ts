import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { execa } from 'execa';
import { serialOfNode } from '../../bench/report-load.ts';
import type { KnownHost, StatusAnswer } from '../../src/api/schemas.ts';
import { Appliance, eventually, REPOSITORY } from '../rack/appliance.ts';
import { sealGeneration } from '../rack/sealed.ts';

const NODES = 3;
const [FIRST, SECOND] = [serialOfNode(0), serialOfNode(1)];

/** The service and its command line as a user has them; the nodes are simulated, each at an address of its own. */
describe('nodes that report', { timeout: 180_000 }, () => {
  let appliance: Appliance;
  let load: ChildProcess | undefined;
  let network: string;

  before(async () => {
    appliance = await Appliance.make('reports', 'dhcp: off', { nfs: 'none', generations: 'generations' });
    const folder = join(appliance.folder, 'generations');
    const generation = await sealGeneration(folder, 'web', {}, undefined, ['reports']);
    await appliance.start();
    await appliance.publish(generation);
    for (let nth = 0; nth < NODES; nth++)
      await appliance.netboot('add-node', serialOfNode(nth), '--image', 'web', '--name', `node${nth + 1}`);
    const [{ addr_info = [] } = {}] = JSON.parse(
      await appliance.inRack('ip', '-4', '-j', 'address', 'show', 'br0'),
    );
    const server = addr_info[0].local as string;
    network = server.split('.').slice(0, 3).join('.');
    const local = [`${network}.200/29`, 'dev', 'br0'];
    await appliance.inRack('ip', 'route', 'add', 'local', ...local);
    const entry = join(REPOSITORY, 'bench/report-load.ts');
    const argv = [process.execPath, entry, server, `${network}.201`, String(NODES), '0'];
    load = spawn('ip', ['netns', 'exec', `nb-${appliance.rack}`, ...argv], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  });

  after(async () => {
    if (load && load.exitCode === null) {
      load.kill('SIGKILL');
      await once(load, 'exit');
    }
    await appliance?.remove();
  });

  const counters = async () =>
    (JSON.parse(await appliance.netboot('status', '--json')) as StatusAnswer).counters.reports ?? {};

  const upAgain = (reboots: number) =>
    eventually(30_000, async () => {
      const { identities, open } = await counters();
      if (identities !== NODES + reboots || open !== NODES) throw new Error('not all are up again');
    });

  it('have their identity, and the operator their keys', async () => {
    await eventually(30_000, async () => {
      if ((await counters()).open !== NODES) throw new Error('not all wait for orders');
    });
    assert.equal((await counters()).identities, NODES);
    const hosts = JSON.parse(await appliance.netboot('known-hosts', '--json')) as KnownHost[];
    assert.equal(new Set(hosts.map(({ key }) => key)).size, NODES);
    const lines = (await appliance.netboot('known-hosts')).split('\n');
    assert.equal(lines.length, NODES);
    for (const line of lines) assert.match(line, /^node\d\S* ssh-ed25519 [A-Za-z0-9+/]+=*$/);
    const shown = JSON.parse(await appliance.netboot('show-node', 'node1', '--json'));
    assert.equal(shown.hostKey, hosts.find(({ name }) => name === 'node1')?.key);
    assert.match(await appliance.netboot('status'), /^reports: .*identities 3/m);
  });

  it('take orders at once, each its own', async () => {
    const startedAt = performance.now();
    assert.match(
      await appliance.netboot('isolate', 'node1', 'web'),
      /^node1 \(10000000\) switches to web-cluster-node\.target: it took the order after/,
    );
    const both = await appliance.netboot('reboot', FIRST, 'node2');
    assert.match(both, new RegExp(`^node1 \\(${FIRST}\\) reboots`, 'm'));
    assert.match(both, new RegExp(`^node2 \\(${SECOND}\\) reboots`, 'm'));
    assert.ok(performance.now() - startedAt < 20_000);
    await upAgain(2);
  });

  it('are told no nonsense', async () => {
    const wrong = await appliance.attempt([
      '--config',
      appliance.configFile,
      'isolate',
      'node1',
      'rescue.target',
    ]);
    assert.equal(wrong.exitCode, 1);
    assert.match(
      wrong.stderr,
      /has no role or target "rescue\.target"\. It has: web, web-cluster-node\.target/,
    );
    await appliance.netboot('add-node', 'deadbeef', '--image', 'web', '--name', 'absent');
    const some = await appliance.attempt(['--config', appliance.configFile, 'reboot', 'absent', 'node3']);
    assert.equal(some.exitCode, 1);
    assert.match(some.stderr, /absent has never reported.*netboot power absent cycle/);
    assert.match(some.stderr, /1 of 2 nodes did not take it/);
    assert.match(some.stdout, /^node3 .* reboots/m);
    await upAgain(3);
  });

  it('go on after a kill of the service, with the same keys, and none of them is in the log', async () => {
    const before = await appliance.netboot('known-hosts');
    await appliance.stop('SIGKILL');
    await appliance.start();
    await eventually(60_000, async () => {
      if ((await counters()).open !== NODES) throw new Error('not all report again');
    });
    assert.equal((await counters()).refused, 0);
    assert.equal((await counters()).identities, 0, 'nobody had to boot');
    assert.equal(await appliance.netboot('known-hosts'), before);
    const state = join(appliance.folder, 'state');
    const { stdout } = await execa('find', [state, '-name', 'state.db*', '-printf', '%m\n']);
    assert.deepEqual([...new Set(stdout.split('\n'))], ['600']);
    const secrets = [
      ...(await readFile(join(state, 'state.db-wal'), 'latin1')).matchAll(/"key":"(\w{64})"/g),
    ];
    assert.ok(secrets.length >= NODES);
    const log = await appliance.log();
    for (const [, secret = ''] of secrets) assert.ok(!log.includes(secret));
    assert.doesNotMatch(log, /PRIVATE KEY|netboot\.token|report-key [0-9a-f]/);
  });
});
