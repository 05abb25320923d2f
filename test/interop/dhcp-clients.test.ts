import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Appliance, REPOSITORY } from '../rack/appliance.ts';
import { Host } from '../rack/host.ts';

/**
 * The client half of npm's `dhcp`. It writes the address it wants (option 50) one exchange late, so that its first
 * REQUEST names none; asked to discover once more it requests what it was offered before, as one that starts again with
 * an old address does, and is bound.
 */
const NPM_CLIENT = `
  const dhcp = require('dhcp');
  const mac = require('node:fs').readFileSync('/sys/class/net/eth0/address', 'utf8').trim();
  const client = dhcp.createClient({ mac });
  client.on('bound', (state) => {
    console.log(JSON.stringify(state));
    process.exit(0);
  });
  client.on('listening', () => {
    client.sendDiscover();
    setInterval(() => client.sendDiscover(), 1000);
  });
  client.listen();
  setTimeout(() => process.exit(1), 10000);
`;

const IN_POOL = /\b192\.168\.172\.1\d\d\b/;

describe('foreign DHCP clients', { timeout: 120_000 }, () => {
  let appliance: Appliance;
  let host: Host;
  /** What udhcpc got. */
  let first: string;

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

  it('udhcpc gets a lease', async () => {
    first = await leased(await host.udhcpc());
  });

  it('dhclient gets a lease, the same address for the same MAC', async () => {
    const files = ['-lf', `${appliance.folder}/dhclient.leases`, '-pf', `${appliance.folder}/dhclient.pid`];
    const argv = ['-1', '-v', '-d', '-sf', '/bin/true', '-cf', '/dev/null', ...files, 'eth0'];
    // In the foreground it stays after it is bound; what it said is enough.
    const said = await host
      .run('timeout', '5', 'dhclient', ...argv)
      .catch((error: { all?: string }) => error.all ?? String(error));
    assert.equal(await leased(said), first);
  });

  it('dhcpcd gets a lease, whatever it calls itself (checklist 21)', async () => {
    // Its client identifier is a DUID, not the MAC.
    const argv = [
      '-d',
      '-4',
      '-B',
      '-1',
      '-A',
      '-L',
      '-c',
      '/bin/true',
      '-f',
      '/dev/null',
      '-t',
      '15',
      'eth0',
    ];
    const shell = 'mount -t tmpfs none /var/lib/dhcpcd && mount -t tmpfs none /run && exec "$@"';
    const said = await host
      .run('timeout', '20', 'unshare', '-m', 'sh', '-c', shell, 'sh', 'dhcpcd', ...argv)
      .catch((error: { all?: string }) => error.all ?? String(error));
    assert.match(said, /leased 192\.168\.172\.\d+ for 43200 seconds/);
    assert.equal(await leased(said), first);
  });

  it('npm dhcp gets a lease and reads all of it', async () => {
    const script = join(appliance.folder, 'client.cjs');
    await writeFile(script, NPM_CLIENT);
    await host.run('ip', 'route', 'add', 'default', 'dev', 'eth0'); // it broadcasts without naming an interface
    const node = join(REPOSITORY, 'scripts/node');
    const said = await host.run('env', `NODE_PATH=${REPOSITORY}/node_modules`, node, script);
    const { address, server, leasePeriod, options } = JSON.parse(said) as {
      address: string;
      server: string;
      leasePeriod: number;
      options: Record<string, unknown>;
    };
    assert.equal(await leased(address), first);
    assert.equal(server, '192.168.172.17');
    assert.equal(leasePeriod, 43_200);
    assert.equal(options.netmask, '255.255.255.0');
    assert.deepEqual(options.router, ['192.168.172.1']);
  });
});
