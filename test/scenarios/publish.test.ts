import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { rename } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeAnswer, RetentionAnswer, StatusAnswer } from '../../src/api/schemas.ts';
import type { ToldEvent } from '../../src/fleet/events.ts';
import { api } from '../rack/api.ts';
import { Appliance, eventually, NETBOOT } from '../rack/appliance.ts';
import type { Loaded } from '../rack/boot-loop.ts';
import { Host } from '../rack/host.ts';
import { sealGeneration } from '../rack/sealed.ts';

const OURS = '192.168.172.17';
const PUBLISHES = 200;
const MARKS = ['red', 'green', 'blue'] as const;
const SERIALS = { dhcp: '9ffef001', http: '9ffef002', image: '9ffef003', fixed: '9ffef004', mac: '9ffef005' };
const MAC = 'dc:a6:32:00:00:05';
/** Nobody added it. */
const STRANGER = '9ffef0aa';

describe('a node that boots while its image is published anew', { timeout: 300_000 }, () => {
  let appliance: Appliance;
  let host: Host;
  /** Generation → the mark of its files. */
  const marks = new Map<string, string>();
  const ids: string[] = [];

  before(async () => {
    appliance = await Appliance.make('publish', 'dhcp: full, pool: 192.168.172.100-192.168.172.150', {
      nfs: 'none',
      generations: 'generations',
      settings: ['nodes: { unknown: serve, defaultImage: web }', 'build: { keep: 1 }'],
      log: 'info',
    });
    for (const mark of MARKS) {
      const id = await sealGeneration(`${appliance.folder}/generations`, 'web', {}, mark);
      marks.set(id, mark);
      ids.push(id);
    }
    await appliance.start();
    await appliance.publish(ids[0] as string);
    const add = (node: object) => api(appliance.socket, 'POST', '/v1/nodes', node);
    for (const serial of Object.values(SERIALS))
      await add({ serial, ...(serial === SERIALS.mac ? { mac: MAC } : {}) });
    await add({ serial: '9ffef006', name: 'address', ip: '192.168.172.99' });
    host = await Host.plugIn(appliance, 'meter', '192.168.172.99/24');
  });

  after(async () => {
    await host?.unplug();
    await appliance?.remove();
  });

  /** Runs the machines for so long, and publishes meanwhile. */
  async function bootWhilePublishing(machines: readonly string[], publishes: number): Promise<Loaded[]> {
    const boots: Loaded[] = [];
    const seconds = Math.ceil((publishes * 60) / 1000) + 2;
    const child = host.startScript('boot-loop.ts', [OURS, `${seconds}`, ...machines], (line) =>
      boots.push(JSON.parse(line) as Loaded),
    );
    const ended = new Promise((resolve) => child.once('close', resolve));
    for (let count = 0; count < publishes; count++) {
      await appliance.publish(ids[count % ids.length] as string);
      await sleep(30);
    }
    await ended;
    assert.equal(child.exitCode, 0);
    return boots;
  }

  it(`never gets a mixed set, in ${PUBLISHES} publishes in a row`, async (t) => {
    const machines = [
      ...Object.entries({ ...SERIALS, mac: MAC.replaceAll(':', '-') }).map(([how, node]) => `${how}:${node}`),
      'dhcp:9ffef0aa',
      'address:',
    ];
    const boots = await bootWhilePublishing(machines, PUBLISHES);
    for (const boot of boots) {
      assert.ok(boot.root, JSON.stringify(boot));
      assert.deepEqual(boot.marks, [marks.get(boot.root)], JSON.stringify(boot));
    }
    const count = (how: string) => boots.filter((boot) => boot.how === how).length;
    for (const machine of machines) assert.ok(count(machine.split(':')[0] as string) >= 3, machine);
    const seen = new Set(boots.map(({ root }) => root));
    assert.equal(seen.size, ids.length, 'every generation was booted');
    const { counters } = await api<StatusAnswer>(appliance.socket, 'GET', '/v1/status');
    const { completed = 0, unconfirmed = 0 } = counters.tftp;
    assert.ok(
      completed > 10 * unconfirmed,
      `${unconfirmed} files without their last ACK, ${completed} with it`,
    );
    t.diagnostic(`${boots.length} boots, each of one generation`);
  });

  it('goes on with its generation when the service is killed in the middle, and a later boot gets the new one', async () => {
    const fetch = (name: string) =>
      host.run('curl', '-sS', '--max-time', '5', `tftp://${OURS}/9ffef004/${name}`);
    const [old, fresh] = ids as [string, string];
    await appliance.publish(old);
    await sleep(2200);
    assert.match(await fetch('start4.elf'), new RegExp(`of ${marks.get(old)}`));
    await appliance.stop('SIGKILL');
    await appliance.start();
    await appliance.publish(fresh);
    assert.match(await fetch('config.txt'), new RegExp(`of ${marks.get(old)}`));
    assert.match(await fetch('cmdline.txt'), new RegExp(old));
    assert.match(await fetch('kernel8.img'), new RegExp(`of ${marks.get(old)}`));
    await sleep(2200);
    assert.match(await fetch('start4.elf'), new RegExp(`of ${marks.get(fresh)}`));
  });

  it('is told of with what it booted beside what is published, and rollback goes back', async () => {
    const shown = async () => (await api<NodeAnswer>(appliance.socket, 'GET', '/v1/nodes/9ffef004')).node;
    const [old, fresh] = ids as [string, string];
    assert.deepEqual([(await shown()).boots, (await shown()).generation], [fresh, fresh]);
    const said = await appliance.netboot('rollback-image', 'web', '--verify');
    assert.match(said, new RegExp(`${old} is as it was sealed`));
    assert.match(said, new RegExp(`nodes of image web boot ${old} from now on, no longer ${fresh}`));
    assert.match(said, new RegExp(`pi-9ffef004 keeps ${fresh} until it reboots`));
    assert.deepEqual([(await shown()).boots, (await shown()).generation], [fresh, old]);
    const events = (await appliance.netboot('events', '--json'))
      .split('\n')
      .map((line) => JSON.parse(line) as ToldEvent);
    assert.ok(events.some(({ kind }) => kind === 'boot begun'));
    assert.equal(events.at(-1)?.kind, 'rolled back');
  });

  it('is told of to who follows the events, a restart of the service included', async (t) => {
    const lines: string[] = [];
    const follower = spawn(NETBOOT, ['--config', appliance.configFile, 'events', '--follow', '--json']);
    t.after(() => follower.kill());
    createInterface({ input: follower.stdout }).on('line', (line) => lines.push(line));
    const heard = async (generation: string) =>
      eventually(10_000, async () => {
        const events = lines.map((line) => JSON.parse(line) as ToldEvent);
        const found = events.filter((event) => event.kind === 'published' && event.generation === generation);
        assert.ok(found.length > 0, lines.join('\n'));
        return events;
      });
    await appliance.publish(ids[2] as string);
    await heard(ids[2] as string);
    await appliance.stop();
    await appliance.start();
    await appliance.publish(ids[1] as string);
    const events = await heard(ids[1] as string);
    assert.equal(new Set(events.map(({ id }) => id)).size, events.length, 'each once');
    await appliance.publish(ids[0] as string);
  });

  it('has its generation on the disk for as long as it runs; what nobody runs is pruned', async () => {
    const retention = async () =>
      JSON.parse(await appliance.netboot('prune-images', '--dry-run', '--json')) as RetentionAnswer;
    const whole = `${appliance.folder}/generations`;
    const extra = await sealGeneration(whole, 'web', {}, 'grey');
    await appliance.publish(extra);
    const used = (await retention()).filter(({ users }) => users.some((user) => user.includes('booted')));
    assert.ok(used.length > 0);
    for (const { id } of used) {
      const refused = await appliance.attempt(['--config', appliance.configFile, 'prune-images', id]);
      assert.equal(refused.exitCode, 1);
      assert.match(refused.stderr, /is in use: .*booted it at/);
    }
    const last = await sealGeneration(whole, 'web', {}, 'black');
    await appliance.publish(last); // keep: 1 keeps grey
    await appliance.publish(ids[0] as string); // and now black
    const going = (await retention()).filter(({ goes }) => goes).map(({ id }) => id);
    assert.ok(going.includes(extra), JSON.stringify(await retention()));
    assert.ok(!going.includes(last) && !going.includes(ids[0] as string));
    assert.match(await appliance.netboot('prune-images'), new RegExp(`deleted .*${extra}`));
    assert.equal(await appliance.netboot('prune-images'), 'nothing to delete');
  });

  it('is told when somebody deleted the generation, and so is who asks how the service is', async () => {
    const [published] = ids as [string];
    const folder = `${appliance.folder}/generations/${published}`;
    const warnings = async () =>
      (JSON.parse(await appliance.netboot('status', '--json')) as StatusAnswer).warnings;
    await rename(folder, `${appliance.folder}/away`);
    await eventually(15_000, async () => assert.equal((await warnings())[0]?.id, 'GENERATION_GONE web'));
    assert.match((await warnings())[0]?.text ?? '', /rollback-image web/);
    const missing = await host
      .run('curl', '-sS', '--max-time', '5', `http://${OURS}/${STRANGER}1/config.txt`)
      .catch(String);
    assert.ok(missing);
    const told = await host.run('curl', '-sS', '--max-time', '5', `http://${OURS}/9ffef0bb/config.txt`);
    assert.match(told, new RegExp(`${published}, which image web stands for, is gone`));
    await rename(`${appliance.folder}/away`, folder);
    await eventually(15_000, async () => assert.deepEqual(await warnings(), []));
  });
});
