import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Found, lookup, type TreeClient } from '../../src/boot/tree.ts';
import type { BootView } from '../../src/model/boot-view.ts';
import type { Node } from '../../src/model/node.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import { sampleGeneration, sampleNode, sampleView } from './sample-view.ts';

const web = sampleGeneration(
  'web',
  { 'start4.elf': 2300, 'bootcode.bin': 52, 'overlays/README': 7 },
  '/g/web',
);
const nodes = [
  sampleNode({ serial: '9ffefdef', name: 'web1', mac: 'dc:a6:32:01:36:c2', ip: '192.168.172.21' }),
  sampleNode({ serial: '00005a2e', name: 'old3' }), // a Pi 3: its MAC is b8:27:eb:00:5a:2e
  sampleNode({ serial: '9ffefd01', name: 'web2', role: 'web' }),
  sampleNode({ serial: '9ffefd02', name: 'db1', role: 'database' }),
  sampleNode({ serial: '9ffefd03', name: 'early', image: 'unbuilt' }),
];
const held = sampleView(nodes, [web]);
const served = sampleView(nodes, [web], { unknown: 'serve', defaultImage: 'web' });
const ignored = sampleView(nodes, [web], { unknown: 'ignore' });

const stranger: TreeClient = { address: '192.168.172.99' as Ipv4, interface: 'eth0' };
const web1: TreeClient = { ...stranger, address: '192.168.172.21' as Ipv4 };
const withMac = (mac: string): TreeClient => ({ ...stranger, mac: mac as Mac });

const sha256 = '0'.repeat(64);
const file = (name: string, size: number): Found => ({
  kind: 'static',
  file: `/g/web/boot/${name}`,
  size,
  sha256,
});

interface Case {
  view?: BootView;
  client?: TreeClient;
  asks: string;
  /** The whole answer, or the kind and what its reason or text says. */
  expect: Found | ['missing' | 'generated', RegExp];
}

const cases: Record<string, Case> = {
  'by serial, from any address': { asks: '9ffefdef/start4.elf', expect: file('start4.elf', 2300) },
  'by serial, double slash (Pi 5)': { asks: '9ffefdef//overlays/README', expect: file('overlays/README', 7) },
  'by serial, generated config.txt': {
    asks: '9ffefdef/config.txt',
    expect: ['generated', /^# web1 .*\n(.*\n)*kernel=vmlinuz\n/],
  },
  'by serial, generated cmdline.txt': {
    asks: '9ffefdef/cmdline.txt',
    expect: ['generated', /hostname=web1 /],
  },
  'by MAC': { asks: 'dc-a6-32-01-36-c2/start4.elf', expect: file('start4.elf', 2300) },
  'by the MAC a Pi 3 must have': {
    asks: 'b8-27-eb-00-5a-2e/cmdline.txt',
    expect: ['generated', /hostname=old3 /],
  },
  'unprefixed, by address': { client: web1, asks: 'cmdline.txt', expect: ['generated', /hostname=web1 /] },
  'unprefixed, leading slash': { client: web1, asks: '/start4.elf', expect: file('start4.elf', 2300) },
  'unprefixed, by MAC': {
    client: withMac('dc:a6:32:01:36:c2'),
    asks: 'cmdline.txt',
    expect: ['generated', /hostname=web1 /],
  },
  'unprefixed, by the MAC of a Pi 3': {
    client: withMac('b8:27:eb:00:5a:2e'),
    asks: 'cmdline.txt',
    expect: ['generated', /hostname=old3 /],
  },
  'bootcode.bin of a Pi 3 nobody knows by address': {
    asks: 'bootcode.bin',
    expect: { kind: 'static', file: '/g/web/boot/bootcode.bin', size: 52, sha256, isGuess: true },
  },
  'bootcode.bin of a Pi 3 known by MAC': {
    client: withMac('b8:27:eb:00:5a:2e'),
    asks: 'bootcode.bin',
    expect: file('bootcode.bin', 52),
  },
  'bootsig.bin has to be missing (ROM)': {
    client: web1,
    asks: 'bootsig.bin',
    expect: ['missing', /has no bootsig\.bin/],
  },
  'a stranger’s file may be a plain one': {
    asks: '/pxe\\ipxe.efi',
    expect: { kind: 'plain', path: 'pxe/ipxe.efi' },
  },
  'a MAC that is no node’s': {
    asks: '00-11-22-33-44-55/start4.elf',
    expect: ['missing', /no node with MAC 00:11:22:33:44:55/],
  },
  'upper case is no serial number': { asks: '9FFEFDEF/x', expect: { kind: 'plain', path: '9FFEFDEF/x' } },
  'nine digits are no serial number': { asks: '9ffefdef0/x', expect: { kind: 'plain', path: '9ffefdef0/x' } },
  'the prefix alone': { asks: '9ffefdef/', expect: ['missing', /names no file/] },
  'a folder of the tree': { asks: '9ffefdef/overlays', expect: ['missing', /has no overlays/] },
  'case counts': { asks: '9ffefdef/START4.ELF', expect: ['missing', /has no START4/] },
  'a name of JavaScript’s objects': {
    asks: '9ffefdef/constructor',
    expect: ['missing', /has no constructor/],
  },
  'a refused path': { asks: '9ffefdef/../start4.elf', expect: ['missing', /"\.\."/] },
  'unknown serial, hold': { asks: 'deadbeef/start4.elf', expect: ['missing', /netboot add-node deadbeef/] },
  'unknown serial, ignore': {
    view: ignored,
    asks: 'deadbeef/config.txt',
    expect: ['missing', /no node deadbeef/],
  },
  'unknown serial, serve': {
    view: served,
    asks: 'deadbeef/cmdline.txt',
    expect: ['generated', /hostname=pi-deadbeef /],
  },
  'an image without a generation': {
    asks: '9ffefd03/start4.elf',
    expect: ['missing', /image unbuilt of node early has no generation/],
  },
  'a role the image has': { asks: '9ffefd01/cmdline.txt', expect: ['generated', /web-cluster-node\.target/] },
  'a role the image has not, cmdline.txt': {
    asks: '9ffefd02/cmdline.txt',
    expect: ['missing', /declares no role database/],
  },
  'a role the image has not, config.txt': {
    asks: '9ffefd02/config.txt',
    expect: ['missing', /declares no role database/],
  },
  'a role the image has not, a file it has': {
    asks: '9ffefd02/start4.elf',
    expect: ['missing', /declares no role database/],
  },
  'a root that the generation cannot give': {
    view: sampleView([{ ...(nodes[0] as Node), root: 'private' }], [web]),
    asks: '9ffefdef/start4.elf',
    expect: ['missing', /was built before there was root private, .*netboot build-image web/],
  },
  'a disk for a Pi that nobody added': {
    view: sampleView(
      nodes,
      [
        {
          ...web,
          node: { root: 'private' },
          provides: ['root-modes'],
          boot: { ...web.boot, initramfs: 'initramfs8' },
        },
      ],
      { unknown: 'serve', defaultImage: 'web' },
    ),
    asks: '12345678/start4.elf',
    expect: ['missing', /a disk of its own, and this one was not added: netboot add-node 12345678/],
  },
  'an interface we have no address on': {
    client: { ...stranger, interface: 'eth7' },
    asks: '9ffefdef/cmdline.txt',
    expect: ['missing', /eth7/],
  },
};

test('a node that cannot be booted has no file at all, whatever is asked (checklist 42)', () => {
  const nowhere = { ...stranger, interface: 'eth7' };
  for (const [client, prefix] of [
    [stranger, '9ffefd02'],
    [stranger, '9ffefd03'],
    [nowhere, '9ffefdef'],
  ] as const) {
    const found = ['start4.elf', 'config.txt', 'cmdline.txt', 'bootcode.bin', 'no-such-file'].map((name) =>
      lookup(held, client, `${prefix}/${name}`),
    );
    assert.equal(found[0]?.kind, 'missing', prefix);
    for (const each of found) assert.deepEqual(each, found[0], 'one reason for all');
  }
});

for (const [name, { view = held, client = stranger, asks, expect }] of Object.entries(cases)) {
  test(name, () => {
    const found = lookup(view, client, asks);
    if (!Array.isArray(expect)) return assert.deepEqual(found, expect);
    assert.equal(found.kind, expect[0]);
    assert.match(found.kind === 'generated' ? found.text : (found as { reason: string }).reason, expect[1]);
  });
}

test('nothing that makes the firmware take another path is made up (checklist 44)', () => {
  const names =
    'recovery.elf recover4.elf recovery8.img autoboot.txt dt-blob.bin armstub8-gic.bin bootcfg.txt'.split(
      ' ',
    );
  for (const name of names) {
    for (const asks of [`9ffefdef/${name}`, `9ffefdef//${name}`, `dc-a6-32-01-36-c2/${name}`]) {
      assert.equal(lookup(held, stranger, asks).kind, 'missing', asks);
    }
    assert.equal(lookup(held, web1, name).kind, 'missing', name);
  }
});

test('a Pi 3 is not guessed when two nodes could be meant, nor one with another MAC', () => {
  const twins = [sampleNode({ serial: '00005a2e' }), sampleNode({ serial: '11005a2e' })];
  const settled = [sampleNode({ serial: '00005a2e', mac: 'b8:27:eb:99:99:99' })];
  for (const known of [twins, settled]) {
    const found = lookup(sampleView(known, [web]), withMac('b8:27:eb:00:5a:2e'), 'cmdline.txt');
    assert.equal(found.kind, 'plain');
  }
});
