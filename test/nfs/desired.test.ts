import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BootView } from '../../src/model/boot-view.ts';
import type { StoredGeneration } from '../../src/model/generation.ts';
import type { Network } from '../../src/model/network.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Serial } from '../../src/net/serial.ts';
import { parseSubnet } from '../../src/net/subnet.ts';
import { outOfBounds } from '../../src/nfs/confine.ts';
import { desiredExports } from '../../src/nfs/desired.ts';
import { exportsSchema } from '../../src/nfs/export.ts';

const generation = (id: string): StoredGeneration =>
  ({ id, folder: `/var/lib/netboot/generations/${id}` }) as StoredGeneration;
const network = (cidr: string): Network => ({ subnet: parseSubnet(cidr) }) as Network;

function view(networks: readonly string[], published: readonly string[]): BootView {
  return {
    networks: new Map(networks.map((cidr, index) => [`eth${index}`, network(cidr)])),
    published: new Map(published.map((id) => [id.slice(0, -13), generation(id)])),
    exportsFolder: '/exports',
  } as unknown as BootView;
}

test('exports every published root read-only and the web content as S1-6 says (checklist 56)', () => {
  assert.deepEqual(desiredExports(view(['192.168.172.17/24'], ['web-0123456789ab'])), [
    {
      path: '/exports/images/web-0123456789ab',
      clients: ['192.168.172.0/24'],
      options: [
        'ro',
        'sync',
        'no_root_squash',
        'no_subtree_check',
        'mp',
        'fsid=d203e279-1c1b-8e6e-aae9-60afd9f7b354',
      ],
      squashfs: '/var/lib/netboot/generations/web-0123456789ab/root.squashfs',
    },
    {
      path: '/exports/www',
      clients: ['192.168.172.0/24'],
      options: ['rw', 'sync', 'nohide', 'no_root_squash', 'subtree_check'],
    },
  ]);
});

test('exports to the subnets behind relays, too', () => {
  const relayed = [network('10.1.2.0/24')];
  const networks = new Map([['eth0', { ...network('192.168.172.17/24'), relayed }]]);
  const [www] = desiredExports({ ...view([], []), networks });
  assert.deepEqual(www?.clients, ['10.1.2.0/24', '192.168.172.0/24']);
});

test('exports what is one node’s to its address alone, and to nobody while that is not known', () => {
  const area = { epoch: 7, disks: [{ name: 'root.ext4' as const, bytes: 2 ** 30 }] };
  const areas = [
    { serial: 'bbbbbbbb' as Serial, address: undefined, ...area },
    { serial: 'aaaaaaaa' as Serial, address: '192.168.172.21' as Ipv4, growUntil: 5, ...area },
  ];
  const [known, unknown, www, ...rest] = desiredExports(view(['192.168.172.17/24'], []), [], areas);
  assert.deepEqual(known, {
    path: '/exports/private/aaaaaaaa',
    clients: ['192.168.172.21/32'],
    options: ['rw', 'sync', 'no_root_squash', 'subtree_check', known?.options.at(-1)],
    area: { ...area, growUntil: 5 },
  });
  assert.deepEqual([unknown?.path, unknown?.clients], ['/exports/private/bbbbbbbb', []]);
  assert.deepEqual([www?.path, rest], ['/exports/www', []]);
  assert.notEqual(known?.options.at(-1), unknown?.options.at(-1), 'a file system id of its own');
  const bounds = { exportsFolder: '/exports', generationsFolder: '/var/lib/netboot/generations' };
  for (const entry of exportsSchema.parse(JSON.parse(JSON.stringify([known, unknown]))))
    assert.equal(outOfBounds(entry, bounds), undefined);
});

const cases: ReadonlyArray<{
  name: string;
  given: BootView;
  inUse?: StoredGeneration[];
  expect: Array<[string, string]>;
}> = [
  { name: 'nothing published', given: view(['10.0.0.1/8'], []), expect: [['/exports/www', '10.0.0.0/8']] },
  {
    name: 'two networks, one of them twice',
    given: view(['10.2.0.1/16', '10.1.0.1/16', '10.2.0.9/16'], []),
    expect: [['/exports/www', '10.1.0.0/16 10.2.0.0/16']],
  },
  {
    name: 'a generation still in use, beside the published one',
    given: view(['10.0.0.1/8'], ['web-bbbbbbbbbbbb']),
    inUse: [generation('web-aaaaaaaaaaaa'), generation('web-bbbbbbbbbbbb')],
    expect: [
      ['/exports/images/web-aaaaaaaaaaaa', '10.0.0.0/8'],
      ['/exports/images/web-bbbbbbbbbbbb', '10.0.0.0/8'],
      ['/exports/www', '10.0.0.0/8'],
    ],
  },
];
for (const { name, given, inUse, expect } of cases) {
  test(name, () => {
    const exports = desiredExports(given, inUse);
    assert.deepEqual(
      exports.map(({ path, clients }) => [path, clients.join(' ')]),
      expect,
    );
    assert.deepEqual(exportsSchema.parse(JSON.parse(JSON.stringify(exports))), exports);
  });
}

const bounds = { exportsFolder: '/exports', generationsFolder: '/var/lib/netboot/generations' };
const [root] = desiredExports(view(['10.0.0.1/8'], ['web-0123456789ab']));
assert.ok(root);
const jobs: ReadonlyArray<{ name: string; arrives: object; expect: RegExp | undefined }> = [
  { name: 'our own', arrives: {}, expect: undefined },
  { name: 'the whole disk', arrives: { path: '/etc' }, expect: /not below \/exports/ },
  { name: 'a neighbour of the exports', arrives: { path: '/exports2/a' }, expect: /not below/ },
  { name: 'a foreign root', arrives: { squashfs: '/home/eve/root.squashfs' }, expect: /not below \/var/ },
];
for (const { name, arrives, expect } of jobs) {
  test(`within bounds: ${name}`, () => {
    const reason = outOfBounds({ ...root, ...arrives }, bounds);
    if (expect) assert.match(reason ?? '', expect);
    else assert.equal(reason, undefined);
  });
}

for (const [name, bad] of Object.entries({
  'a path that climbs': { path: '/exports/../etc' },
  'a path with a line break': { path: '/exports/a\n/etc' },
  'a client that is no subnet': { clients: ['*'] },
  'an option with a bracket': { options: ['rw) *(rw'] },
})) {
  test(`refuses ${name}`, () => assert.ok(!exportsSchema.safeParse([{ ...root, ...bad }]).success));
}
