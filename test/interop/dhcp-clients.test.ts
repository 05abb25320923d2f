import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Appliance, REPOSITORY } from '../rack/appliance.ts';
import { Host } from '../rack/host.ts';

/**
 * The client half of npm's `dhcp`, as a foreign reader of our OFFER. It gets no further than that with any server that
 * keeps the RFC: its REQUEST names no address (RFC 2131 table 5: option 50 MUST be there).
 */
const NPM_CLIENT = `
  const dhcp = require('dhcp');
  const mac = require('node:fs').readFileSync('/sys/class/net/eth0/address', 'utf8').trim();
  const client = dhcp.createClient({ mac });
  client.on('message', ({ yiaddr, options }) => {
    console.log(JSON.stringify({ yiaddr, options }));
    process.exit(0);
  });
  client.on('listening', () => client.sendDiscover());
  client.listen();
  setTimeout(() => process.exit(1), 10000);
`;

const IN_POOL = /\b192\.168\.172\.1\d\d\b/;

describe('foreign DHCP clients', { timeout: 120_000 }, () => {
  let appliance: Appliance;
  let host: Host;

  before(async () => {
    const settings =
      'dhcp: full, pool: 192.168.172.100-192.168.172.199, router: 192.168.172.1, dns: [192.168.172.1]';
    appliance = await Appliance.make('interop', settings, { nfs: 'none' });
    await appliance.start();
    host = await Host.plugIn(appliance, 'client');
  });
  after(async () => {
    await host?.unplug();
    await appliance?.remove();
  });

  const leased = async (text: string): Promise<string> => {
    const address = IN_POOL.exec(text)?.[0] ?? assert.fail(`no address of the pool in: ${text}`);
    const leases = JSON.parse(await appliance.netboot('leases', '--json')) as Array<{
      address: string;
      state: string;
    }>;
    assert.equal(leases.find((lease) => lease.address === address)?.state, 'bound');
    return address;
  };

  it('udhcpc and dhclient get a lease, npm dhcp reads an offer, all of one MAC the same address', async () => {
    const udhcpc = await host.udhcpc();
    const first = await leased(udhcpc);

    const files = [
      '-lf',
      join(appliance.folder, 'dhclient.leases'),
      '-pf',
      join(appliance.folder, 'dhclient.pid'),
    ];
    // In the foreground it stays after it is bound; what it said is enough.
    const dhclient = await host
      .run(
        'timeout',
        '10',
        'dhclient',
        '-1',
        '-v',
        '-d',
        '-sf',
        '/bin/true',
        '-cf',
        '/dev/null',
        ...files,
        'eth0',
      )
      .catch((error: { all?: string }) => error.all ?? String(error));
    assert.equal(await leased(dhclient), first);

    const script = join(appliance.folder, 'client.cjs');
    await writeFile(script, NPM_CLIENT);
    await host.run('ip', 'route', 'add', 'default', 'dev', 'eth0'); // it broadcasts without naming an interface
    const npm = await host.run(
      'env',
      `NODE_PATH=${REPOSITORY}/node_modules`,
      join(REPOSITORY, 'scripts/node'),
      script,
    );
    const { yiaddr, options } = JSON.parse(npm) as { yiaddr: string; options: Record<string, unknown> };
    assert.equal(yiaddr, first);
    const { 1: netmask, 3: router, 51: lease, 53: type, 54: server } = options;
    const expected = ['255.255.255.0', ['192.168.172.1'], 43_200, 2, '192.168.172.17'];
    assert.deepEqual([netmask, router, lease, type, server], expected);
  });
});
