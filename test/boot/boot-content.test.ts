import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { FIRMWARES } from '../../src/boot/firmware.ts';
import { createOpenBootFile } from '../../src/boot/open.ts';
import { lookup } from '../../src/boot/tree.ts';
import type { BootClient, OpenBootFile } from '../../src/model/boot-file.ts';
import type { BootView } from '../../src/model/boot-view.ts';
import type { Node } from '../../src/model/node.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import { sampleGeneration, sampleNode, sampleView } from './sample-view.ts';

/** What a Pi gets when it asks, whatever it asks by: the statements of the checklist on the tree itself. */

const NAMES = ['bootcode.bin', 'start.elf', 'start4.elf', 'fixup4.dat', 'kernel8.img', 'overlays/README'];
const MAC = 'dc:a6:32:01:36:c2' as Mac;
const stranger: BootClient = { address: '192.168.172.99' as Ipv4, interface: 'eth0' };
const own: BootClient = { ...stranger, address: '192.168.172.21' as Ipv4 };
const neighbour: BootClient = { ...stranger, address: '192.168.172.50' as Ipv4 };

let folder: string;
let view: BootView;
let openFile: OpenBootFile;
const alerts: object[] = [];

/** A node with what `sampleNode` cannot say. */
const nodeWith = (fields: Record<string, string>, more: Partial<Node>): Node => ({
  ...sampleNode(fields),
  ...more,
});

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'netboot-content-'));
  await mkdir(path.join(folder, 'web/boot/overlays'), { recursive: true });
  for (const name of NAMES) await writeFile(path.join(folder, 'web/boot', name), name);
  await mkdir(path.join(folder, 'plain'));
  await writeFile(path.join(folder, 'secret'), 'secret');
  for (const [link, target] of [
    ['up', '..'],
    ['out', '../secret'],
    ['abs', path.join(folder, 'secret')],
  ] as const)
    await symlink(target, path.join(folder, 'plain', link));
  const sizes = Object.fromEntries(NAMES.map((name) => [name, name.length]));
  const web = sampleGeneration('web', sizes, path.join(folder, 'web'));
  view = sampleView(
    [
      nodeWith(
        { serial: '9ffefdef', name: 'web1', mac: MAC, ip: '192.168.172.21' },
        { tftpPrefix: 'rack/one/' },
      ),
      nodeWith(
        { serial: '9ffefd01', name: 'ram1', ip: '192.168.172.31' },
        { tftpPrefix: 'pis/', ramdisk: true },
      ),
      nodeWith({ serial: '9ffefd02', name: 'web2', ip: '192.168.172.32' }, { tftpPrefix: 'pis/' }),
      nodeWith({ serial: '9ffefd03', name: 'web3' }, { tftpPrefix: 'rack/' }),
    ],
    [web],
  );
  const note = (fields: object) => void alerts.push(fields);
  openFile = createOpenBootFile({
    view: () => view,
    macOf: (address) => (address === neighbour.address ? MAC : undefined),
    plainRoot: path.join(folder, 'plain'),
    log: { debug() {}, info() {}, warn: note, error: note },
  });
});
after(() => rm(folder, { recursive: true }));

async function read(client: BootClient, asked: string): Promise<string | undefined> {
  const file = await openFile(client, asked);
  if (file.kind === 'missing') return undefined;
  try {
    return Buffer.from(await file.read(0, 1 << 20)).toString('latin1');
  } finally {
    await file.close();
  }
}

test('every way to write a path means the same file (checklist 40)', async () => {
  const expected = await read(stranger, '9ffefdef/overlays/README');
  assert.equal(expected, 'overlays/README');
  for (const asked of [
    '9ffefdef//overlays//README',
    '/9ffefdef/overlays/README',
    '//9ffefdef/overlays/README',
    '9ffefdef\\overlays\\README',
    '\\9ffefdef/./overlays/README',
    './9ffefdef/overlays/./README',
  ])
    assert.equal(await read(stranger, asked), expected, asked);
});

test('no path leads out of the tree, by dots, links, NUL or anything else (checklist 40)', async () => {
  const outside = [
    ...[
      '../secret',
      '9ffefdef/../../secret',
      '..\\secret',
      'a/../../secret',
      '9ffefdef/overlays/../../../secret',
    ],
    ...['out', 'abs', 'up/secret', '9ffefdef/../plain/out', `${'../'.repeat(40)}etc/passwd`, '/etc/passwd'],
    ...['9ffefdef/config.txt\0.png', 'out\0', '\0', '.', '..', '/', ''],
  ];
  for (const asked of outside) assert.equal(await read(stranger, asked), undefined, JSON.stringify(asked));
  const part = fc.constantFrom(
    '..',
    '.',
    '',
    'up',
    'out',
    'abs',
    'secret',
    '9ffefdef',
    'overlays',
    '\\',
    '\0',
    'web',
    'boot',
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(part, { maxLength: 8 }),
      fc.constantFrom('/', '//', '\\'),
      async (parts, slash) => {
        assert.notEqual(await read(stranger, parts.join(slash)), 'secret');
      },
    ),
    { numRuns: 500 },
  );
});

test('a serial, a MAC, the EEPROM’s own prefix, and a known address lead to one tree (checklist 41)', async () => {
  for (const name of [...NAMES, 'config.txt', 'cmdline.txt']) {
    const expected = await read(stranger, `9ffefdef/${name}`);
    assert.ok(expected !== undefined);
    assert.equal(await read(stranger, `dc-a6-32-01-36-c2/${name}`), expected);
    assert.equal(await read(stranger, `rack/one/${name}`), expected, 'the longer of two prefixes');
    assert.equal(await read(own, name), expected, 'by a reserved address');
    assert.equal(await read(neighbour, name), expected, 'by the MAC behind an address');
  }
  assert.match((await read(stranger, 'rack/cmdline.txt')) ?? '', /hostname=web3 /);
});

test('where several have one prefix, the address tells them apart', async () => {
  const from = (last: number): BootClient => ({ ...stranger, address: `192.168.172.${last}` as Ipv4 });
  assert.match((await read(from(31), 'pis/cmdline.txt')) ?? '', /hostname=ram1 /);
  assert.match((await read(from(32), 'pis/cmdline.txt')) ?? '', /hostname=web2 /);
});

test('a prefix holds for every file of the tree or for none (checklist 42)', async () => {
  const everything = [...NAMES, 'config.txt', 'cmdline.txt', 'boot.img'];
  const served = async (client: BootClient, prefix: string) =>
    (await Promise.all(everything.map((name) => read(client, prefix + name)))).filter(
      (text) => text !== undefined,
    ).length;
  for (const prefix of ['9ffefdef/', 'dc-a6-32-01-36-c2/', 'rack/one/', 'rack/'])
    assert.equal(await served(stranger, prefix), everything.length, prefix);
  for (const prefix of ['deadbeef/', 'dc-a6-32-00-00-00/', 'rack/two/', 'pis/', 'RACK/ONE/'])
    assert.equal(await served(stranger, prefix), 0, prefix);
});

test('bootcode.bin is served without a prefix, to whomever asks, and bootsig.bin never (checklist 43)', async () => {
  for (const client of [stranger, own, neighbour]) {
    assert.equal(await read(client, 'bootcode.bin'), 'bootcode.bin');
    assert.equal(await read(client, 'bootsig.bin'), undefined);
  }
});

/** What working boots ask for in vain, by the table of firmware facts, and what must never be made up. */
const expectedMisses = [
  ...new Set([
    ...FIRMWARES.flatMap(({ expectedMisses: misses }) => misses?.value ?? []),
    ...['recovery.elf', 'recover4.elf', 'recovery7.img', 'recovery8.img', 'autoboot.txt', 'dt-blob.bin'],
    ...['armstub8.bin', 'armstub8-gic.bin', 'armstub8-2712.bin', 'bootcfg.txt', 'tryboot.txt'],
    ...['vl805.sig', 'pieeprom.sig', 'pieeprom.upd'],
  ]),
].map((name) => name.replace('*', '8.bin'));

test('nothing is made up that firmware only looks for (checklist 44)', async () => {
  for (const name of expectedMisses)
    for (const [client, prefix] of [
      [stranger, '9ffefdef/'],
      [stranger, '9ffefd01/'],
      [own, ''],
      [stranger, ''],
    ] as const)
      assert.equal(await read(client, prefix + name), undefined, prefix + name);
});

test('looking for what is not there raises no alert (checklist 45)', async () => {
  alerts.length = 0;
  for (const name of [...expectedMisses, 'boot.sig'])
    for (const prefix of ['9ffefdef/', 'deadbeef/', '']) await read(stranger, prefix + name);
  assert.deepEqual(alerts, []);
});

test('config.txt and cmdline.txt are the same bytes in every reading of a boot (checklist 49)', async () => {
  const readAll = () =>
    Promise.all(['config.txt', 'cmdline.txt'].map((name) => read(stranger, `9ffefdef/${name}`)));
  const first = await readAll();
  const before = view;
  // Whatever else happens meanwhile: other nodes come, and time passes.
  view = sampleView(
    [...before.nodes.values(), sampleNode({ serial: 'aaaaaaaa' })],
    [...before.published.values()],
  );
  for (let time = 0; time < 7; time++) {
    assert.deepEqual(await readAll(), first);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  view = before;
});

test('no boot tree lets an EEPROM be flashed, nor does the one inside boot.img (checklist 55)', async () => {
  for (const node of view.nodes.values()) {
    const found = lookup(view, stranger, `${node.serial}/boot.img`);
    assert.ok(found.kind === 'boot.img');
    for (const text of [(await read(stranger, `${node.serial}/config.txt`)) ?? '', found.image.config]) {
      const [all = ''] = text.split('[all]\n').slice(-1);
      assert.match(all, /^bootloader_update=0$/m, 'after every filter');
      assert.doesNotMatch(all, /^\[/m);
    }
  }
});

test('boot_ramdisk=1 is in the config.txt of a node that wants it, and not in the one inside', async () => {
  const lines = async (serial: string) => ((await read(stranger, `${serial}/config.txt`)) ?? '').split('\n');
  assert.ok((await lines('9ffefd01')).includes('boot_ramdisk=1'));
  assert.ok(!(await lines('9ffefdef')).includes('boot_ramdisk=1'));
  const found = lookup(view, stranger, '9ffefd01/boot.img');
  assert.ok(found.kind === 'boot.img');
  assert.doesNotMatch(found.image.config, /boot_ramdisk/);
  assert.match(found.image.cmdline, /hostname=ram1 /);
  const whole = (await read(stranger, '9ffefd01/boot.img')) ?? '';
  assert.equal(whole.slice(0x52, 0x57), 'FAT32');
});

test('a plain file that is not for everyone on the machine is not served: a key, a state', async () => {
  const file = path.join(folder, 'plain/private');
  await writeFile(file, 'x', { mode: 0o640 });
  const found = await openFile(stranger, 'private');
  assert.ok(found.kind === 'missing');
  assert.match(found.reason, /chmod o\+r/);
  await chmod(file, 0o644);
  assert.equal(await read(stranger, 'private'), 'x');
});

test('without a key there is no boot.sig, and the reason says what to do', async () => {
  const found = await openFile(stranger, '9ffefdef/boot.sig');
  assert.ok(found.kind === 'missing');
  assert.match(found.reason, /netboot keys/);
});

test('a tree that a FAT file system cannot hold is missing as boot.img, and an alert', async () => {
  const before = view;
  const odd = sampleGeneration('web', { 'a:b': 1 }, folder);
  view = sampleView([sampleNode({ serial: '9ffefdef' })], [odd]);
  alerts.length = 0;
  const found = await openFile(stranger, '9ffefdef/boot.img');
  assert.ok(found.kind === 'missing' && /boot\.img cannot hold the file name "a:b"/.test(found.reason));
  assert.equal(alerts.length, 1);
  view = before;
});
