import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeStatus, RolloutStatus } from '../../src/api/schemas.ts';
import type { ToldEvent } from '../../src/fleet/events.ts';
import { api } from '../rack/api.ts';
import { Appliance, eventually, NETBOOT } from '../rack/appliance.ts';
import { sealGeneration } from '../rack/sealed.ts';

/**
 * The service moves four virtual Pis from generation to generation. They come by DHCP and TFTP, report and obey as real ones
 * do; what they run is simulated, so that each generation is as bad as is wanted.
 */

const SERIALS = ['9ffef001', '9ffef002', '9ffef003', '9ffef004'];
/** How the generations fail on each of the Pis. */
const MANNERS = {
  base: undefined,
  good: undefined,
  broken: 'unit',
  panicking: 'panic',
  mute: 'silent',
  hanging: 'hang-page',
  vanishing: 'silent',
} as const;

describe('a rollout', { timeout: 900_000 }, () => {
  let appliance: Appliance;
  const pis: ChildProcess[] = [];
  const ids = {} as Record<keyof typeof MANNERS, string>;

  before(async () => {
    appliance = await Appliance.make('rollout', 'dhcp: full, pool: 192.168.172.100-192.168.172.199', {
      nfs: 'none',
      generations: 'generations',
      settings: ['nodes: { attempts: 2 }', 'build: { keep: 9 }'],
      log: 'info',
    });
    const { folder, configFile, rack } = appliance;
    const power = `[${NETBOOT}, sim, power, '{serial}', cycle, --rack, ${rack}]`;
    await writeFile(
      configFile,
      `${await readFile(configFile, 'utf8')}power: { sim: { cycle: ${power}, timeout: 60 } }\n`,
    );
    for (const name of Object.keys(MANNERS) as Array<keyof typeof MANNERS>)
      ids[name] = await sealGeneration(`${folder}/generations`, 'web', {}, name, ['reports']);
    await appliance.start();
    await appliance.publish(ids.base);
    const failures = Object.entries(MANNERS).flatMap(([name, how]) =>
      how ? ['--fail-on', `${ids[name as keyof typeof MANNERS]}:${how}`] : [],
    );
    for (const [index, serial] of SERIALS.entries()) {
      await appliance.netboot('add-node', serial, '--name', `pi-${index + 1}`, '--power', 'sim');
      const pi = ['sim', 'pi4', '--serial', serial, '--rack', rack, '--outlet'];
      const argv = [...pi, '--agent', '--serve', '8000', ...failures];
      pis.push(spawn(NETBOOT, argv, { stdio: 'ignore' }));
    }
    await allRun(ids.base);
  });

  after(async () => {
    await appliance?.remove();
    for (const pi of pis) if (pi.exitCode === null && pi.signalCode === null) await once(pi, 'exit');
  });

  const nodes = async () => (await api<{ nodes: NodeStatus[] }>(appliance.socket, 'GET', '/v1/nodes')).nodes;
  const status = () => api<RolloutStatus>(appliance.socket, 'GET', '/v1/rollouts/web');
  const isUp = ({ state }: NodeStatus) => state === 'up';
  const allRun = (generation: string) =>
    eventually(120_000, async () => {
      for (const node of await nodes())
        assert.deepEqual([node.name, node.state, node.runs], [node.name, 'up', generation]);
    });
  const events = async () =>
    (await api<ToldEvent[]>(appliance.socket, 'GET', '/v1/events?follow=false')).flatMap((event) =>
      event.kind === 'rollout' ? [`${event.what}${event.name === undefined ? '' : ` ${event.name}`}`] : [],
    );
  const rollout = (...args: string[]) => appliance.netboot('rollout', 'web', ...args);

  /** Follows a rollout to its end. @returns how many nodes were not up at once, at most. */
  async function watched(isOver: (status: RolloutStatus) => boolean): Promise<number> {
    let most = 0;
    for (const until = Date.now() + 240_000; Date.now() < until; await sleep(200)) {
      try {
        const now = await status();
        most = Math.max(most, (await nodes()).filter((node) => !isUp(node)).length);
        if (isOver(now)) return most;
      } catch (error) {
        if (!/does not answer|ECONN|ENOENT|socket/.test(String(error))) throw error; // it was killed
      }
    }
    throw new Error(`it never came to that: ${JSON.stringify(await status())}`);
  }
  const isBack = ({ state, nodes: all }: RolloutStatus): boolean =>
    state === 'stopped' && all.every(({ step, text }) => step !== 'failed' || /; put back/.test(text ?? ''));

  async function backToBase(): Promise<void> {
    await appliance.netboot('rollout', 'abort', 'web');
    await allRun(ids.base);
    assert.equal((await nodes())[0]?.generation, ids.base);
  }

  /** A bad generation: one Pi at most is ever down, and that is back on the base. */
  async function stopsWith(generation: string, reason: RegExp, ...args: string[]): Promise<void> {
    const earlier = (await events()).length;
    await rollout('--to', generation, '--canary', '1', '--within', '30s', ...args);
    const most = await watched(isBack);
    assert.equal(most, 1, 'never more than one was down');
    const { reason: found = '', nodes: all } = await status();
    assert.match(found, /^pi-1: /);
    assert.match(found, reason);
    assert.deepEqual(
      all.map(({ step }) => step),
      ['failed', 'waiting', 'waiting', 'waiting'],
    );
    assert.deepEqual((await events()).slice(earlier), [
      'started',
      'node told pi-1',
      'node failed pi-1',
      'stopped',
      'node put back pi-1',
    ]);
    assert.match(await appliance.netboot('rollout', 'status', 'web'), reason);
    await backToBase();
  }

  it('of a generation with a unit that fails stops with the canary', () =>
    stopsWith(ids.broken, /not up within 30s: it is unhealthy: .*failed/));

  it('of a kernel that panics stops with the canary, which is power-cycled back', () =>
    stopsWith(ids.panicking, /not up within 30s|fell back to/));

  it('of a generation that is never heard of stops with the canary', () =>
    stopsWith(ids.mute, /not up within 30s: it is (kernel|root mounted)/));

  it('with a check that hangs stops with the canary, although it reports that it is well', () =>
    stopsWith(ids.hanging, /did not answer within 5 s/, '--check', 'http://{ip}:8000/'));

  it('to a generation that vanishes stops, and puts back', async () => {
    await rollout('--to', ids.vanishing, '--within', '5m');
    await eventually(60_000, async () => {
      const [first] = await nodes();
      assert.deepEqual([first?.boots, first?.state === 'up'], [ids.vanishing, false]);
    });
    const folder = `${appliance.folder}/generations/${ids.vanishing}`;
    await rename(folder, `${appliance.folder}/elsewhere`);
    assert.equal(await watched(isBack), 1);
    assert.match((await status()).reason ?? '', /no longer there/);
    const { exitCode, stderr } = await appliance.attempt([
      '--config',
      appliance.configFile,
      'rollout',
      'resume',
      'web',
    ]);
    assert.deepEqual([exitCode, /There is no generation/.test(stderr)], [1, true]);
    await rename(`${appliance.folder}/elsewhere`, folder);
    await backToBase();
  });

  it('pauses, resumes and is given up', async () => {
    await rollout('--to', ids.good);
    await appliance.netboot('rollout', 'pause', 'web');
    const refused = await appliance.attempt(['--config', appliance.configFile, 'rollout', 'web']);
    assert.deepEqual(
      [refused.exitCode, /web\.\d+ of image "web" .* is paused/.test(refused.stderr)],
      [1, true],
    );
    await eventually(60_000, async () => assert.equal((await status()).counts.told, 0));
    const { counts } = await status();
    await sleep(3000);
    assert.deepEqual((await status()).counts, counts);
    await appliance.netboot('rollout', 'resume', 'web');
    await watched((now) => now.counts.done >= 2);
    assert.match(await appliance.netboot('rollout', 'abort', 'web'), /is aborted/);
    const moved = (await nodes()).filter(({ runs }) => runs === ids.good);
    assert.ok(moved.length >= 2, 'those keep it until they boot');
    for (const node of await nodes()) {
      assert.equal(node.generation, ids.base);
      if (node.runs !== ids.base) await appliance.netboot('power', node.name, 'cycle');
    }
    await allRun(ids.base);
  });

  it('of a good generation moves all, one at a time, over two kills of the service', async () => {
    await rollout('--to', ids.good, '--check', 'http://{ip}:8000/');
    const killing = (async () => {
      for (const done of [1, 3]) {
        await eventually(120_000, async () => assert.ok((await status()).counts.done >= done));
        await sleep(1500);
        await appliance.stop('SIGKILL');
        await appliance.start();
      }
    })();
    const most = await watched(({ state }) => state === 'finished' || state === 'stopped');
    await killing;
    const over = await status();
    assert.deepEqual([over.state, over.counts.done, most], ['finished', 4, 1], JSON.stringify(over));
    await allRun(ids.good);
    for (const node of await nodes()) assert.equal(node.generation, ids.good);
    for (const { name, seconds } of over.nodes) assert.ok((seconds ?? 0) < 60, `${name} took ${seconds} s`);
  });

  it('at the next boot tells nobody', async () => {
    const begun = (await nodes()).map(({ bootedAt }) => bootedAt);
    await rollout('--to', ids.base, '--at-next-boot');
    await sleep(3000);
    assert.deepEqual(
      (await nodes()).map(({ bootedAt }) => bootedAt),
      begun,
    );
    for (const serial of SERIALS) {
      await appliance.netboot('power', serial, 'cycle');
      await eventually(60_000, async () => {
        const { nodes: all } = await status();
        assert.equal(all.find((node) => node.serial === serial)?.step, 'done');
      });
    }
    await watched(({ state }) => state === 'finished');
  });

  it('is one thing; a node that cannot boot what is published falls back by itself', async () => {
    await appliance.publish(ids.panicking);
    await appliance.netboot('power', 'pi-2', 'cycle');
    await eventually(120_000, async () => {
      const node = (await nodes()).find(({ name }) => name === 'pi-2');
      assert.deepEqual([node?.state, node?.runs], ['up', ids.base]);
      assert.equal(node?.fallsBackTo, ids.base);
    });
    const told = (await api<ToldEvent[]>(appliance.socket, 'GET', '/v1/events?follow=false')).filter(
      (event) => event.kind === 'fell back',
    );
    assert.deepEqual(
      told.map((event) => [event.name, event.from, event.to, event.attempts]),
      [['pi-2', ids.panicking, ids.base, 2]],
    );
    assert.match(await appliance.netboot('show-node', 'pi-2'), new RegExp(`fallsBackTo\\s+${ids.base}`));
    assert.match(await appliance.netboot('retry', 'pi-2'), /boots web-\w+ again at its next boot/);
    assert.equal((await nodes()).find(({ name }) => name === 'pi-2')?.fallsBackTo, undefined);
    await appliance.publish(ids.base);
  });
});
