import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import type { LeaseStatus, NodeAnswer, NodeStatus } from '../../src/api/schemas.ts';
import { ApiRefusal, api } from '../rack/api.ts';
import { Appliance, eventually } from '../rack/appliance.ts';
import { Host } from '../rack/host.ts';
import { sealGeneration } from '../rack/sealed.ts';

const ROUNDS = 8;
const CLIENTS = 130;

/** `kill -9` again and again, while nodes are added and clients get their leases. */
describe('what was acknowledged outlives a killed service', { timeout: 180_000 }, () => {
  let appliance: Appliance;
  let clients: Host;
  let generation: string;
  let attempts = 0;

  before(async () => {
    appliance = await Appliance.make('kill', 'dhcp: full, pool: 192.168.172.100-192.168.172.250, lease: 1h', {
      generations: 'generations',
    });
    generation = await sealGeneration(`${appliance.folder}/generations`);
    await appliance.start();
    await appliance.publish(generation);
    clients = await Host.plugIn(appliance, 'clients', '192.168.172.2/24');
  });

  after(async () => {
    await clients?.unplug();
    await appliance?.remove();
  });

  /** Adds node after node until the service is gone; some have an address reserved. */
  async function addNodes(added: Map<string, NodeStatus>): Promise<void> {
    for (;;) {
      attempts++;
      const serial = (0xa0000000 + attempts).toString(16);
      const ip = attempts % 10 === 0 ? { ip: `192.168.172.${17 + attempts / 10}` } : {};
      try {
        const { node } = await api<NodeAnswer>(appliance.socket, 'POST', '/v1/nodes', { serial, ...ip });
        added.set(serial, node);
      } catch (error) {
        if (error instanceof ApiRefusal) throw error;
        return; // killed in the middle of it, so not acknowledged
      }
      await sleep(randomInt(30));
    }
  }

  async function loopsOnGeneration(): Promise<string[]> {
    const devices = (await readdir('/sys/block')).filter((name) => name.startsWith('loop'));
    const files = await Promise.all(
      devices.map((name) => readFile(`/sys/block/${name}/loop/backing_file`, 'utf8').catch(() => '')),
    );
    return files.filter((file) => file.includes(appliance.folder));
  }

  async function assertNothingRuns(): Promise<void> {
    assert.equal((await execa('ip', ['netns', 'pids', `nb-${appliance.rack}`])).stdout, '');
    assert.ok(!(await readFile('/proc/self/mountinfo', 'utf8')).includes(appliance.folder));
  }

  async function assertNothingLeft(): Promise<void> {
    await assertNothingRuns();
    assert.deepEqual(await loopsOnGeneration(), []);
  }

  it(`${ROUNDS} times over`, async (t) => {
    const added = new Map<string, NodeStatus>();
    const leased = new Map<string, string>();
    let acks = 0;
    const room = clients.startScript('dhcp-clients.ts', ['8', String(CLIENTS)], (line) => {
      const { mac, address } = JSON.parse(line) as { mac: string; address: string };
      acks++;
      const holder = [...leased].find(([, theirs]) => theirs === address)?.[0] ?? mac;
      assert.equal(holder, mac, `${address} was given to two`);
      assert.equal(leased.get(mac) ?? address, address, `${mac} got another address`);
      leased.set(mac, address);
    });

    for (let round = 0; round < ROUNDS; round++) {
      assert.equal((await loopsOnGeneration()).length, 1, 'its root is mounted');
      const adding = addNodes(added);
      await sleep(randomInt(100, 2_500));
      await appliance.stop('SIGKILL');
      await adding;
      await eventually(10_000, assertNothingLeft);
      const acknowledged = { nodes: new Map(added), leases: new Map(leased) };
      appliance.launch();
      await sleep(randomInt(1_000));
      // And again, somewhere in its start: a loop device that was attached and not mounted yet is the next one's.
      await appliance.stop('SIGKILL');
      await eventually(10_000, assertNothingRuns);
      await appliance.start();

      const { nodes } = await appliance.nodes();
      const present = new Map(nodes.map((node) => [node.serial, node]));
      for (const [serial, { name, image }] of acknowledged.nodes)
        assert.partialDeepStrictEqual(present.get(serial), { serial, name, image });
      assert.ok(
        nodes.length <= acknowledged.nodes.size + round + 1,
        'at most the one under way came through',
      );

      const leases = JSON.parse(await appliance.netboot('leases', '--json')) as LeaseStatus[];
      const addressOf = new Map(leases.map(({ mac, address, state }) => [mac, `${address} ${state}`]));
      for (const [mac, address] of acknowledged.leases) assert.equal(addressOf.get(mac), `${address} bound`);
      const held = leases.map(({ address }) => address);
      assert.equal(new Set(held).size, held.length);

      const exports = JSON.parse(await appliance.netboot('exports', '--json')) as Array<{ path: string }>;
      assert.equal(exports.filter(({ path }) => path.endsWith(generation)).length, 1, 'no export is stale');
    }
    t.diagnostic(
      `${2 * ROUNDS} kills; ${added.size} nodes, ${leased.size} leases in ${acks} ACKs, none lost`,
    );
    room.kill();
    await appliance.stop();
    await eventually(10_000, assertNothingLeft);
    assert.ok(added.size > ROUNDS && acks > CLIENTS);
  });
});
