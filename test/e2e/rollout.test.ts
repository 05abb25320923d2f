import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeStatus, RolloutStatus } from '../../src/api/schemas.ts';
import type { ToldEvent } from '../../src/fleet/events.ts';
import { api } from '../rack/api.ts';
import { Appliance, eventually, NETBOOT, REPOSITORY } from '../rack/appliance.ts';
import { makeKey, VirtualPi } from '../rack/virtual-pi.ts';

/**
 * Rollouts of real images: what is bad about them is found by Pis that boot them in QEMU. Their names come first, so that the
 * canary is one of them.
 */

/** From an order to being up, four Pis under emulation on two cores. */
const WITHIN = '5m';
const BOOT_MS = 15 * 60_000;
const QEMU = ['ab000021', 'ab000022', 'ab000023', 'ab000024'];
const AGENTS = ['9ffef021', '9ffef022', '9ffef023', '9ffef024'];

describe('a rollout of real images', { timeout: 3 * 60 * 60_000 }, () => {
  let appliance: Appliance;
  let images: string;
  let key: string;
  const pis: VirtualPi[] = [];
  let agents: ChildProcess[] = [];
  const ids = { base: '', broken: '', panicking: '', good: '' };

  /** Builds the web image as it is with these files and this recipe beside. @returns its generation. */
  async function build(mark: string, change: (folder: string) => Promise<void>): Promise<string> {
    const folder = join(images, 'web');
    await rm(folder, { recursive: true });
    await cp(join(REPOSITORY, 'images/web'), folder, { recursive: true });
    await mkdir(join(folder, 'rootfs/usr/lib'), { recursive: true });
    await writeFile(join(folder, 'rootfs/usr/lib/rollout-mark'), `${mark}\n`);
    await change(folder);
    const said = await appliance.netboot('build-image', 'web', '--no-publish', '--json');
    const { generation, isPublished } = JSON.parse(said) as { generation: string; isPublished: boolean };
    assert.equal(isPublished, false);
    return generation;
  }

  before(async () => {
    images = await mkdtemp(join(tmpdir(), 'netboot-rollout-images-'));
    await cp(join(REPOSITORY, 'images'), images, { recursive: true });
    appliance = await Appliance.make('roll', 'dhcp: full, pool: 192.168.172.100-192.168.172.199', {
      images,
      log: 'info',
    });
    await appliance.start();
    ids.base = await build('base', async () => {});
    ids.broken = await build('broken', async (folder) => {
      await mkdir(join(folder, 'rootfs/etc/nginx/conf.d'), { recursive: true });
      await writeFile(join(folder, 'rootfs/etc/nginx/conf.d/broken.conf'), 'this is no configuration\n');
    });
    ids.panicking = await build('panicking', async (folder) => {
      const recipe = join(folder, 'image.yaml');
      // The kernel’s first program tells how it is used and ends, and with that the kernel panics.
      await writeFile(
        recipe,
        `${await readFile(recipe, 'utf8')}\nboot: { cmdline: [rdinit=/bin/busybox] }\n`,
      );
    });
    ids.good = await build('good', async () => {});
    assert.equal(new Set(Object.values(ids)).size, 4);
    await appliance.publish(ids.base);
    await appliance.writePage('<h1>rolled out</h1>\n');
    key = await makeKey(appliance);
  });

  after(async () => {
    await Promise.all(pis.map((pi) => pi.off()));
    await appliance?.remove();
    for (const agent of agents)
      if (agent.exitCode === null && agent.signalCode === null) await once(agent, 'exit');
    await rm(images, { recursive: true, force: true });
  });

  const nodes = async () => (await api<{ nodes: NodeStatus[] }>(appliance.socket, 'GET', '/v1/nodes')).nodes;
  const status = () => api<RolloutStatus>(appliance.socket, 'GET', '/v1/rollouts/web');
  const told = async () =>
    (await api<ToldEvent[]>(appliance.socket, 'GET', '/v1/events?follow=false')).flatMap((event) =>
      event.kind === 'rollout' ? [`${event.what} ${event.name ?? ''}`.trim()] : [],
    );
  const allRun = (generation: string) =>
    eventually(BOOT_MS, async () => {
      for (const node of await nodes())
        assert.deepEqual([node.name, node.state, node.runs], [node.name, 'up', generation]);
    });
  const isBack = ({ state, nodes: all }: RolloutStatus): boolean =>
    state === 'stopped' && all.every(({ step, text }) => step !== 'failed' || /; put back/.test(text ?? ''));

  async function watched(isOver: (status: RolloutStatus) => boolean): Promise<number> {
    let most = 0;
    for (const until = Date.now() + 90 * 60_000; Date.now() < until; await sleep(500)) {
      try {
        const now = await status();
        most = Math.max(most, (await nodes()).filter(({ state }) => state !== 'up').length);
        if (isOver(now)) return most;
      } catch (error) {
        if (!/ECONN|ENOENT|socket/.test(String(error))) throw error; // it was killed
      }
    }
    throw new Error(`it never came to that: ${JSON.stringify(await status())}`);
  }

  async function powerOn(serials: readonly string[]): Promise<void> {
    for (const serial of serials) {
      await appliance.netboot('add-node', serial, '--name', `a-${serial}`, '--role', 'web');
      pis.push(new VirtualPi(appliance, 'pi4', serial, key, 'lives'));
    }
  }

  async function stopsWith(generation: string, reason: RegExp): Promise<void> {
    const earlier = (await told()).length;
    const canary = `a-${QEMU[0]}`;
    const check = ['--check', 'http://{ip}:8000/', '--within', WITHIN];
    await appliance.netboot('rollout', 'web', '--to', generation, '--canary', '1', ...check);
    assert.equal(await watched(isBack), 1, 'never more than one was down');
    const { reason: found = '', nodes: all } = await status();
    assert.match(found, reason);
    assert.equal(found.startsWith(`${canary}: `), true, found);
    assert.deepEqual(
      all.map(({ step }) => step),
      ['failed', 'waiting', 'waiting', 'waiting', 'waiting', 'waiting'],
    );
    assert.deepEqual((await told()).slice(earlier), [
      'started',
      `node told ${canary}`,
      `node failed ${canary}`,
      'stopped',
      `node put back ${canary}`,
    ]);
    await allRun(ids.base);
    await appliance.netboot('rollout', 'abort', 'web');
  }

  it('starts with two Pis in QEMU and four that are simulated', async () => {
    await powerOn(QEMU.slice(0, 2));
    for (const serial of AGENTS) {
      await appliance.netboot('add-node', serial, '--name', `b-${serial}`, '--role', 'web');
      const pi = ['sim', 'pi4', '--serial', serial, '--rack', appliance.rack, '--agent', '--serve', '8000'];
      const bad = ['--fail-on', `${ids.broken}:unit`, '--fail-on', `${ids.panicking}:panic`];
      agents.push(spawn(NETBOOT, [...pi, ...bad], { stdio: 'ignore' }));
    }
    await allRun(ids.base);
  });

  it('whose nginx is broken takes one Pi down, stops, and puts it back', () =>
    stopsWith(ids.broken, /nginx\.service failed|web-cluster-node\.target is not active/));

  it('whose kernel panics takes one Pi down, stops, and puts it back', async () => {
    await stopsWith(ids.panicking, /fell back to web-|not up within/);
    assert.match((await pis[0]?.console()) ?? '', /Kernel panic - not syncing/);
  });

  it('that is good moves four Pis in QEMU, over two kills of the service', async () => {
    for (const agent of agents) agent.kill('SIGTERM');
    agents = [];
    for (const serial of AGENTS) await appliance.netboot('remove-node', serial);
    await powerOn(QEMU.slice(2));
    await allRun(ids.base);
    const check = ['--check', 'http://{ip}:8000/', '--within', WITHIN];
    await appliance.netboot('rollout', 'web', '--to', ids.good, '--batch', '1', ...check);
    const killing = (async () => {
      for (const done of [1, 2]) {
        await eventually(60 * 60_000, async () => assert.ok((await status()).counts.done >= done));
        await sleep(20_000); // the next one is on its way down or up
        await appliance.stop('SIGKILL');
        await appliance.start();
      }
    })();
    const most = await watched(({ state }) => state === 'finished' || state === 'stopped');
    await killing;
    const over = await status();
    assert.deepEqual([over.state, over.counts.done, most], ['finished', 4, 1], JSON.stringify(over));
    await allRun(ids.good);
    for (const [index, pi] of pis.entries()) {
      pi.address = await appliance.addressOf(`a-${QEMU[index]}`);
      assert.equal(await pi.run('cat /usr/lib/rollout-mark'), 'good');
    }
  });
});
