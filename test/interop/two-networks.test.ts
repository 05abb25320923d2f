import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { PI4 } from '../dhcp/fixtures/discovers.ts';
import { Appliance, eventually } from '../rack/appliance.ts';
import { Host } from '../rack/host.ts';

const BR0 = { address: '192.168.172.17', pool: /^192\.168\.172\.1\d\d$/ };
const BR1 = { address: '10.5.0.1', pool: /^10\.5\.0\.1\d\d$/ };

/** One appliance on two wires, a Pi 4 of one and the same MAC plugged first into the one and then into the other. */
describe('two networks of one appliance', { timeout: 120_000 }, () => {
  let appliance: Appliance;
  let pi: Host;

  before(async () => {
    const settings =
      'dhcp: full, pool: 192.168.172.100-192.168.172.199 }, br1: { dhcp: full, pool: 10.5.0.100-10.5.0.199';
    appliance = await Appliance.make('twonets', settings, { nfs: 'none' });
    for (const command of [
      'link add br1 type bridge',
      `address add ${BR1.address}/24 dev br1`,
      'link set br1 up',
    ])
      await appliance.inRack('ip', ...command.split(' '));
    await appliance.start();
    // It listens for another DHCP server first.
    await eventually(20_000, async () => assert.match(await appliance.log(), /DHCP_OPEN/));
    await appliance.netboot('add-node', PI4.serial, '--image', 'web');
    pi = await Host.plugIn(appliance, 'pi');
  });
  after(async () => {
    await pi?.unplug();
    await appliance?.remove();
  });

  async function ask() {
    const lines: string[] = [];
    const asking = pi.startScript('ask-dhcp.ts', [Buffer.from(PI4.bytes).toString('hex'), '1500'], (line) =>
      lines.push(line),
    );
    await new Promise((resolve) => asking.once('close', resolve));
    return lines.map((line) => JSON.parse(line) as Record<string, string>);
  }

  for (const [bridge, { address, pool }] of Object.entries({ br0: BR0, br1: BR1 })) {
    it(`${bridge}: one offer, from its own address, which is 54, 66 and siaddr, and of its own pool (checklist 14, 28)`, async () => {
      await appliance.inRack('ip', 'link', 'set', 'pi', 'master', bridge);
      const [offer, ...more] = await ask();
      assert.ok(offer);
      assert.deepEqual(more, []);
      const { type, source, server, tftp, siaddr, yiaddr } = offer;
      assert.deepEqual([type, source, server, tftp, siaddr], ['offer', address, address, address, address]);
      assert.match(yiaddr ?? '', pool);
    });
  }
});
