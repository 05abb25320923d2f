import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { execa } from 'execa';
import { Appliance, eventually } from '../rack/appliance.ts';
import { Host } from '../rack/host.ts';

const OURS = '192.168.172.17';

/** What udhcpc runs: takes the address and the way out. */
const CONFIGURE = `#!/bin/sh
case $1 in bound|renew)
  ip address replace $ip/$mask dev eth0
  ip route replace default via $router
esac
`;

/** dnsmasq relays, busybox asks: a network of its own behind a router, which only the router's relay joins to ours. */
describe('a client behind a relay', { timeout: 120_000 }, () => {
  let appliance: Appliance;
  let relay: Host;
  const client = () => `${relay.namespace}-far`;
  const inClient = (...args: string[]) => execa('ip', ['netns', 'exec', client(), ...args], { all: true });

  before(async () => {
    const far = '{ subnet: 10.1.2.0/24, pool: 10.1.2.100-10.1.2.109, router: 10.1.2.1, lease: 10m }';
    const settings = `dhcp: full, pool: 192.168.172.100-192.168.172.199, relayed: [${far}]`;
    appliance = await Appliance.make('relay', settings, { nfs: 'none' });
    await appliance.inRack('ip', 'route', 'add', '10.1.2.0/24', 'via', '192.168.172.2');
    await appliance.start();
    relay = await Host.plugIn(appliance, 'relay', '192.168.172.2/24');
    await execa('ip', ['netns', 'add', client()]);
    const cable = ['name', 'eth0', 'netns', client()];
    await relay.run('ip', 'link', 'add', 'far', 'type', 'veth', 'peer', ...cable);
    await relay.run('ip', 'address', 'add', '10.1.2.1/24', 'dev', 'far');
    await relay.run('ip', 'link', 'set', 'far', 'up');
    await relay.run('sysctl', '-q', '-w', 'net.ipv4.ip_forward=1');
    await inClient('ip', 'link', 'set', 'eth0', 'up');
    relay.start(
      ...(['dnsmasq', '--keep-in-foreground', '--conf-file=/dev/null', '--port=0', '--user=root'] as const),
      ...['--pid-file', `--dhcp-relay=10.1.2.1,${OURS}`],
    );
    await eventually(10_000, async () =>
      assert.match(await relay.run('ss', '-Hlun', 'sport = :67'), /:67/, 'dnsmasq does not listen'),
    );
  });
  after(async () => {
    if (relay) await execa('ip', ['netns', 'delete', client()]);
    await relay?.unplug();
    await appliance?.remove();
  });

  it('leases an address of its own network through it, and renews past it', async () => {
    const script = join(appliance.folder, 'udhcpc.sh');
    await writeFile(script, CONFIGURE);
    await chmod(script, 0o755);
    const udhcpc = execa('ip', ['netns', 'exec', client(), 'udhcpc', '-i', 'eth0', '-f', '-s', script], {
      all: true,
    });
    try {
      const address = await eventually(20_000, async () => {
        const { stdout } = await inClient('ip', '-4', '-br', 'address', 'show', 'eth0');
        return /10\.1\.2\.10\d/.exec(stdout)?.[0] ?? assert.fail('no address yet');
      });
      udhcpc.kill('SIGUSR1'); // renew now, which is a unicast from the address itself
      await eventually(10_000, async () => {
        const acks = (await appliance.log()).match(new RegExp(`DHCP_ACK.*${address}`, 'g')) ?? [];
        assert.ok(acks.length >= 2, `${acks.length} ACKs`);
      });
      const leases = JSON.parse(await appliance.netboot('leases', '--json')) as Array<{
        address: string;
        state: string;
      }>;
      assert.deepEqual(
        leases.map((lease) => [lease.address, lease.state]),
        [[address, 'bound']],
      );
    } finally {
      udhcpc.kill('SIGTERM');
      await udhcpc.catch(() => {});
    }
  });
});
