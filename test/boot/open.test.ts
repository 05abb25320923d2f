import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { createOpenBootFile } from '../../src/boot/open.ts';
import type { BootClient, OpenBootFile } from '../../src/model/boot-file.ts';
import type { BootView } from '../../src/model/boot-view.ts';
import { silentLog } from '../../src/model/log.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import { sampleGeneration, sampleNode, sampleView } from './sample-view.ts';

const client: BootClient = { address: '192.168.172.99' as Ipv4, interface: 'eth0' };
let folder: string;
let view: BootView;
let plainRoot: string;
const errors: object[] = [];
const log = { ...silentLog, error: (fields: object) => void errors.push(fields) };
const asked: string[] = [];
let openFile: OpenBootFile;

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'netboot-open-'));
  plainRoot = path.join(folder, 'plain');
  await mkdir(path.join(folder, 'web/boot/overlays'), { recursive: true });
  await mkdir(path.join(folder, 'plain/sub'), { recursive: true });
  await mkdir(path.join(folder, 'plain-next-door'));
  await writeFile(path.join(folder, 'web/boot/start4.elf'), 'firmware');
  await writeFile(path.join(folder, 'web/boot/grown'), 'longer than sealed');
  await symlink('start4.elf', path.join(folder, 'web/boot/link'));
  await writeFile(path.join(folder, 'secret'), 'secret');
  await writeFile(path.join(folder, 'plain-next-door/secret'), 'secret');
  await writeFile(path.join(plainRoot, 'sub/ipxe.efi'), 'ipxe');
  await symlink('sub/ipxe.efi', path.join(plainRoot, 'inner'));
  await symlink('../secret', path.join(plainRoot, 'outer'));
  await symlink('/etc/passwd', path.join(plainRoot, 'absolute'));
  await symlink('..', path.join(plainRoot, 'up'));
  await symlink('../plain-next-door', path.join(plainRoot, 'next'));
  await symlink('loop', path.join(plainRoot, 'loop'));
  execFileSync('mkfifo', [path.join(plainRoot, 'fifo')]);

  const sizes = { 'start4.elf': 8, grown: 3, link: 8, lost: 5 };
  const node = sampleNode({
    serial: '9ffefdef',
    name: 'web1',
    mac: 'dc:a6:32:01:36:c2',
    ip: '192.168.172.21',
  });
  view = sampleView([node], [sampleGeneration('web', sizes, path.join(folder, 'web'))]);
  openFile = createOpenBootFile({
    view: () => view,
    macOf: (address) => {
      asked.push(address);
      return address === '192.168.172.50' ? ('dc:a6:32:01:36:c2' as Mac) : undefined;
    },
    plainRoot,
    log,
  });
});

after(() => rm(folder, { recursive: true }));

async function read(requested: string, from: BootClient = client): Promise<string> {
  const file = await openFile(from, requested);
  if (file.kind === 'missing') return `missing: ${file.reason}`;
  const bytes = await file.read(0, 1 << 20);
  assert.equal(bytes.length, file.size);
  await file.close();
  return Buffer.from(bytes).toString();
}

test('a sealed file, a generated one and a plain one are read', async () => {
  assert.equal(await read('9ffefdef/start4.elf'), 'firmware');
  assert.match(await read('9ffefdef/config.txt'), /^# web1 /);
  assert.equal(await read('sub/ipxe.efi'), 'ipxe');
});

test('parts are read from where they are asked, and no further than the end', async () => {
  for (const requested of ['9ffefdef/start4.elf', '9ffefdef/cmdline.txt']) {
    const whole = await read(requested);
    const file = await openFile(client, requested);
    assert.ok(file.kind === 'file');
    assert.equal(Buffer.from(await file.read(4, 3)).toString(), whole.slice(4, 7));
    assert.equal(Buffer.from(await file.read(file.size - 2, 100)).toString(), whole.slice(-2));
    assert.equal((await file.read(file.size, 100)).length, 0);
    await file.close();
  }
});

test('what is open stays what it was, whatever is published meanwhile', async () => {
  const file = await openFile(client, '9ffefdef/start4.elf');
  assert.ok(file.kind === 'file');
  const before = view;
  view = sampleView([], []);
  assert.match(await read('9ffefdef/start4.elf'), /^missing: no node/);
  assert.equal(Buffer.from(await file.read(0, 8)).toString(), 'firmware');
  await file.close();
  view = before;
});

test('the MAC is asked for only when the address says nothing', async () => {
  asked.length = 0;
  await read('9ffefdef/start4.elf');
  await read('start4.elf', { ...client, address: '192.168.172.21' as Ipv4 });
  assert.deepEqual(asked, []);
  assert.equal(await read('start4.elf', { ...client, address: '192.168.172.50' as Ipv4 }), 'firmware');
  assert.deepEqual(asked, ['192.168.172.50']);
});

test('bootcode.bin comes from the image of the node the MAC tells, else from any', async () => {
  const before = view;
  await writeFile(path.join(folder, 'web/boot/bootcode.bin'), 'web');
  await mkdir(path.join(folder, 'old/boot'), { recursive: true });
  await writeFile(path.join(folder, 'old/boot/bootcode.bin'), 'old one');
  const old = sampleGeneration('old', { 'bootcode.bin': 7 }, path.join(folder, 'old'));
  const web = sampleGeneration('web', { 'bootcode.bin': 3 }, path.join(folder, 'web'));
  view = sampleView([...before.nodes.values()], [old, web]);
  assert.equal(await read('bootcode.bin', { ...client, address: '192.168.172.50' as Ipv4 }), 'web');
  assert.equal(await read('bootcode.bin'), 'old one');
  view = before;
});

test('a sealed file that is not what was sealed is missing, and an error', async () => {
  for (const name of ['grown', 'link', 'lost']) {
    errors.length = 0;
    assert.match(await read(`9ffefdef/${name}`), /^missing: the appliance cannot read/, name);
    assert.equal(errors.length, 1, name);
  }
});

test('links within the plain root are followed', async () => assert.equal(await read('inner'), 'ipxe'));

const refused =
  'outer absolute up/secret next/secret loop fifo sub . nothing sub/ipxe.efi/x sub/\xff ../secret'.split(' ');
for (const requested of refused) {
  test(`plain ${JSON.stringify(requested)} is missing, at once and without an error`, async () => {
    errors.length = 0;
    assert.match(await read(requested), /^missing: /);
    assert.deepEqual(errors, []);
  });
}

test('without a plain root there are no plain files', async () => {
  const without = createOpenBootFile({ view: () => view, macOf: () => undefined, log });
  assert.deepEqual(await without(client, 'sub/ipxe.efi'), {
    kind: 'missing',
    reason: 'no file sub/ipxe.efi',
  });
});

test('a failing look-up is missing, never a rejection', async () => {
  const broken = createOpenBootFile({
    view: () => view,
    macOf: () => Promise.reject(Object.assign(new Error('no descriptors'), { code: 'EMFILE' })),
    log,
  });
  errors.length = 0;
  const found = await broken(client, 'x');
  assert.ok(found.kind === 'missing' && /EMFILE/.test(found.reason));
  assert.equal(errors.length, 1);
});
