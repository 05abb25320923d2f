import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { parseConfig } from '../../src/config.ts';
import { Fleet } from '../../src/fleet/fleet.ts';
import { resolveNetworks } from '../../src/fleet/networks.ts';
import type { StoredGeneration } from '../../src/model/generation.ts';
import { silentLog } from '../../src/model/log.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';

const CONFIG = parseConfig(
  'interfaces:\n  eth0:\n    dhcp: full\n    pool: 192.168.172.100-192.168.172.199\n    router: 192.168.172.1\n',
  'f',
);
const PRESENT = [{ interface: 'eth0', address: '192.168.172.17' as Ipv4, prefix: 24, mtu: 1500 }];
const SERIAL = parseSerial('9ffefdef');
const OTHER = parseSerial('b66c4c16');
const MAC = 'dc:a6:32:01:36:c2' as Mac;

const generation = (id: string): StoredGeneration => ({
  id,
  image: 'web',
  arch: 'arm64',
  sealedAt: '2026-01-01T00:00:00Z',
  recipeKey: 'a'.repeat(64),
  root: { size: 1, sha256: 'b'.repeat(64) },
  boot: { kernel: 'kernel8.img', config: [], cmdline: [], files: {} },
  roles: { web: { target: 'web-cluster-node.target' } },
  packages: {},
  folder: `/generations/${id}`,
});
const OLD = generation('web-000000000001');
const NEW = generation('web-000000000002');

describe('the fleet', () => {
  let store: MemoryStore;
  let applied: string[][];
  let fleet: Fleet;
  let sealed: StoredGeneration[];
  /** Export path → why it cannot be exported. */
  let problems: Map<string, string>;
  let failing: boolean;

  const open = () => {
    const exporter = {
      kind: 'none' as const,
      apply: async (desired: ReadonlyArray<{ path: string }>) => {
        if (failing) throw new Error('no NFS server');
        applied.push(desired.map(({ path }) => path));
      },
      state: () => ({
        exports: [...problems].map(([path, problem]) => ({ path, clients: [], options: [], problem })),
      }),
      stop: async () => {},
    };
    const readGenerations = async () => ({ generations: sealed, problems: [] });
    const ports = { store, exporter, readGenerations, recipeNames: async () => ['web'], log: silentLog };
    return Fleet.open(ports, CONFIG, resolveNetworks(CONFIG.interfaces, PRESENT));
  };
  const see = (serial: typeof SERIAL, mac = MAC) =>
    fleet.see({ mac, serial, interface: 'eth0', at: 1, machine: 'Pi 4' });

  beforeEach(async () => {
    store = new MemoryStore();
    applied = [];
    sealed = [OLD, NEW];
    problems = new Map();
    failing = false;
    fleet = await open();
  });

  it('shows an added node in the very next view, with its defaults', async () => {
    const { node } = await fleet.addNode({ serial: SERIAL });
    assert.deepEqual(node, { serial: SERIAL, name: 'pi-9ffefdef', image: 'web' });
    assert.equal(fleet.view().nodes.get(SERIAL), node);
  });

  it('has its nodes and channels again after a restart', async () => {
    await fleet.addNode({ serial: SERIAL, ip: '192.168.172.21' as Ipv4, mac: MAC });
    await fleet.publish('web', OLD.id);
    const again = (await open()).view();
    assert.equal(again.nodesByIp.get('192.168.172.21' as Ipv4)?.serial, SERIAL);
    assert.equal(again.nodesByMac.get(MAC)?.serial, SERIAL);
    assert.equal(again.published.get('web')?.id, OLD.id);
  });

  const refused: Array<{ given: Parameters<Fleet['addNode']>[0]; expect: RegExp }> = [
    { given: { serial: SERIAL }, expect: /9ffefdef is there already, as "first".*set-node/ },
    { given: { serial: OTHER, name: 'first' }, expect: /name "first" belongs to node first/ },
    {
      given: { serial: OTHER, ip: '192.168.172.21' as Ipv4 },
      expect: /192\.168\.172\.21 belongs to node first/,
    },
    { given: { serial: OTHER, mac: MAC }, expect: /MAC address dc:a6:32:01:36:c2 belongs to node first/ },
    {
      given: { serial: OTHER, ip: '10.0.0.1' as Ipv4 },
      expect: /in none of the served subnets\. Served: 192\.168\.172\.0\/24 \(eth0\)/,
    },
    { given: { serial: OTHER, ip: '192.168.172.17' as Ipv4 }, expect: /this appliance's own/ },
    { given: { serial: OTHER, ip: '192.168.172.1' as Ipv4 }, expect: /the router's/ },
    { given: { serial: OTHER, image: 'none' }, expect: /no image "none"\. Known images: web/ },
    { given: { serial: OTHER, role: 'db' }, expect: /image "web" has no role "db"\. Its roles: web/ },
  ];
  for (const { given, expect } of refused) {
    it(`refuses a node when ${expect.source}`, async () => {
      await fleet.publish('web', OLD.id);
      await fleet.addNode({ serial: SERIAL, name: 'first', ip: '192.168.172.21' as Ipv4, mac: MAC });
      await assert.rejects(fleet.addNode(given), expect);
      assert.equal(fleet.view().nodes.size, 1);
    });
  }

  it('takes a serial for the node that has it, not for one that is named so', async () => {
    await assert.rejects(
      fleet.addNode({ serial: SERIAL, name: OTHER }),
      /looks like the serial number of another Pi/,
    );
    const { node } = await fleet.addNode({ serial: SERIAL, name: SERIAL });
    assert.equal(fleet.find(SERIAL), node);
  });

  it('exports to the new subnet when an interface has another address, and tries again after a failure', async () => {
    const moved = [{ ...PRESENT[0], address: '10.1.2.3' as Ipv4 }] as typeof PRESENT;
    const networks = resolveNetworks(parseConfig('interfaces:\n  eth0: {}\n', 'f').interfaces, moved);
    failing = true;
    await assert.rejects(fleet.setNetworks(networks), /no NFS server/);
    assert.notEqual(fleet.networks(), networks);
    failing = false;
    await fleet.setNetworks(networks);
    assert.equal(fleet.networks(), networks);
    assert.equal(fleet.view().networks.get('eth0')?.address, '10.1.2.3');
  });

  it('lets only one of two nodes asked for at the same moment have an address', async () => {
    const ip = '192.168.172.21' as Ipv4;
    const results = await Promise.allSettled([
      fleet.addNode({ serial: SERIAL, ip }),
      fleet.addNode({ serial: OTHER, ip }),
    ]);
    assert.deepEqual(
      results.map((result) => result.status),
      ['fulfilled', 'rejected'],
    );
  });

  it('learns the MAC of a node from its first boot, and from a boot before it was added', async () => {
    await fleet.addNode({ serial: SERIAL });
    see(SERIAL);
    see(OTHER, 'dc:a6:32:00:00:02' as Mac);
    await fleet.addNode({ serial: OTHER });
    assert.equal(fleet.view().nodes.get(SERIAL)?.mac, MAC);
    assert.equal(fleet.view().nodes.get(OTHER)?.mac, 'dc:a6:32:00:00:02');
  });

  it('does not let a machine that borrows a serial move the node to its MAC', async () => {
    await fleet.addNode({ serial: SERIAL, mac: MAC });
    see(SERIAL, 'dc:a6:32:00:00:99' as Mac);
    await fleet.setNode(SERIAL, { name: 'renamed' });
    assert.equal(fleet.view().nodes.get(SERIAL)?.mac, MAC);
  });

  it('takes values away with null and leaves the others', async () => {
    await fleet.addNode({ serial: SERIAL, name: 'a', role: 'web' });
    const { node } = await fleet.setNode('a', { role: null });
    assert.deepEqual(node, { serial: SERIAL, name: 'a', image: 'web' });
  });

  it('moves the channel, exports the new root, and keeps the old one for the Pis that run on it', async () => {
    await fleet.publish('web', OLD.id);
    await fleet.publish('web', NEW.id);
    assert.equal(fleet.view().published.get('web')?.id, NEW.id);
    const roots = applied.at(-1)?.filter((path) => path.includes('/images/'));
    assert.deepEqual(roots?.sort(), [`/exports/images/${OLD.id}`, `/exports/images/${NEW.id}`]);
  });

  it('does not move the channel to a root that cannot be exported', async () => {
    await fleet.publish('web', OLD.id);
    problems.set(`/exports/images/${NEW.id}`, 'no loop device');
    await assert.rejects(
      fleet.publish('web', NEW.id),
      /root of web-000000000002 cannot be exported: no loop device/,
    );
    assert.equal(fleet.view().published.get('web')?.id, OLD.id);
    assert.ok(!applied.at(-1)?.includes(`/exports/images/${NEW.id}`));
  });

  it('refuses to publish what is not sealed', async () => {
    await assert.rejects(
      fleet.publish('web', 'web-00000000dead'),
      /no generation "web-00000000dead".*web-000000000001/,
    );
  });

  it('does not offer a generation that vanished from the disk', async () => {
    await fleet.publish('web', OLD.id);
    sealed = [];
    assert.equal((await open()).view().published.size, 0);
  });
});

describe('the networks', () => {
  const resolve = (yaml: string) => resolveNetworks(parseConfig(yaml, 'f').interfaces, PRESENT);

  it('takes the address and subnet from the interface', () => {
    const network = resolve('interfaces:\n  eth0: {}\n').get('eth0');
    assert.deepEqual(network?.subnet, { network: '192.168.172.0', prefix: 24 });
    assert.equal(network?.address, '192.168.172.17');
  });

  it('gives a network behind a relay our address and mode, and what it does not say itself', () => {
    const yaml = [
      'interfaces:',
      '  eth0:',
      '    dhcp: full',
      '    pool: 192.168.172.100-192.168.172.109',
      '    dns: [9.9.9.9]',
      '    relayed: [{ subnet: 10.1.2.0/24, pool: 10.1.2.100-10.1.2.109, router: 10.1.2.1, lease: 10m }]',
    ].join('\n');
    const [far] = resolve(yaml).get('eth0')?.relayed ?? [];
    assert.deepEqual(far, {
      interface: 'eth0',
      address: '192.168.172.17',
      subnet: { network: '10.1.2.0', prefix: 24 },
      mtu: far?.mtu,
      dhcp: 'full',
      dns: ['9.9.9.9'],
      leaseSeconds: 600,
      pool: { first: '10.1.2.100', last: '10.1.2.109' },
      router: '10.1.2.1',
    });
  });

  const wrong: Record<string, RegExp> = {
    'interfaces:\n  eth9: {}\n': /interface "eth9" is missing.*Interfaces with an address: eth0/,
    'interfaces:\n  eth0:\n    dhcp: full\n    pool: 10.0.0.1-10.0.0.9\n':
      /pool address 10\.0\.0\.1 is outside.*192\.168\.172\.0\/24.*interfaces\.eth0\.pool/,
    'interfaces:\n  eth0:\n    dhcp: full\n    pool: 192.168.172.9-192.168.173.9\n':
      /192\.168\.173\.9 is outside/,
    'interfaces:\n  eth0:\n    router: 10.0.0.1\n': /router 10\.0\.0\.1 is outside/,
    'interfaces:\n  eth0:\n    relayed: [{ subnet: 192.168.0.0/16 }]\n':
      /relayed subnet 192\.168\.0\.0\/16 and 192\.168\.172\.0\/24 have addresses in common/,
    'interfaces:\n  eth0:\n    relayed: [{ subnet: 10.1.0.0/16 }, { subnet: 10.1.2.0/24 }]\n':
      /relayed subnet 10\.1\.2\.0\/24 and 10\.1\.0\.0\/16 .*interfaces\.eth0\.relayed\[1\]/,
    'interfaces:\n  eth0:\n    relayed: [{ subnet: 10.1.2.0/24, router: 10.1.3.1 }]\n':
      /router 10\.1\.3\.1 is outside.*interfaces\.eth0\.relayed\[0\]\.router/,
  };
  for (const [yaml, reason] of Object.entries(wrong)) {
    it(`refuses ${reason.source}`, () => assert.throws(() => resolve(yaml), reason));
  }
});
