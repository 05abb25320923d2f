import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { createOpenBootFile } from '../../src/boot/open.ts';
import { lookup } from '../../src/boot/tree.ts';
import type { BootClient } from '../../src/model/boot-file.ts';
import type { BootPin } from '../../src/model/boot-pin.ts';
import type { StoredGeneration } from '../../src/model/generation.ts';
import { silentLog } from '../../src/model/log.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import { sampleGeneration, sampleNode, sampleView } from './sample-view.ts';

const SIZES = { 'kernel8.img': 3, vmlinuz: 3, 'initrd.img': 3, 'boot.bin': 3 };
const node = sampleNode({
  serial: '9ffefdef',
  name: 'web1',
  mac: 'dc:a6:32:01:36:c2',
  ip: '192.168.172.21',
  tftpPrefix: 'rack/',
});
const stranger: BootClient = { address: '192.168.172.99' as Ipv4, interface: 'eth0' };
let folder: string;
let old: StoredGeneration;
let fresh: StoredGeneration;

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'netboot-pin-'));
  [old, fresh] = ['old', 'new'].map((name) => ({
    ...sampleGeneration('web', SIZES, path.join(folder, name)),
    id: `web-000000000${name}`,
  })) as [StoredGeneration, StoredGeneration];
  for (const name of ['old', 'new']) {
    await mkdir(path.join(folder, name, 'boot'), { recursive: true });
    for (const file of Object.keys(SIZES)) await writeFile(path.join(folder, name, 'boot', file), name);
  }
});

after(() => rm(folder, { recursive: true }));

/** Every way to say who asks, and every kind of file. */
const NAMES = ['config.txt', 'cmdline.txt', 'kernel8.img', 'boot.ipxe', 'boot.img', 'boot.scr.uimg'];
const WAYS = [
  { how: 'by its serial number', folder: '9ffefdef/', client: stranger },
  { how: 'by its MAC', folder: 'dc-a6-32-01-36-c2/', client: stranger },
  { how: 'by its own prefix', folder: 'rack/', client: stranger },
  { how: 'by its address', folder: '', client: { ...stranger, address: '192.168.172.21' as Ipv4 } },
  {
    how: 'by the MAC that has the address',
    folder: '',
    client: { ...stranger, mac: 'dc:a6:32:01:36:c2' as Mac },
  },
];
for (const { how, folder: prefix, client } of WAYS) {
  test(`a node that is known ${how} gets each file of the generation it is kept at`, () => {
    const view = sampleView([node], [fresh]);
    for (const name of [...NAMES, ...(prefix === '' ? ['pxelinux.cfg/01-dc-a6-32-01-36-c2'] : [])]) {
      const asked: string[] = [];
      const found = lookup(view, client, `${prefix}${name}`, (which, file) => {
        asked.push(`${which.serial} ${file}`);
        return { generation: old };
      });
      assert.deepEqual(asked, [`9ffefdef ${name}`]);
      const text = JSON.stringify(
        found.kind === 'generated image' ? Buffer.from(found.bytes).toString('latin1') : found,
      );
      assert.ok(text.includes(old.id) || text.includes(old.folder), `${name}: ${text.slice(0, 200)}`);
      assert.ok(!text.includes(fresh.id) && !text.includes(fresh.folder), name);
    }
  });
}

test('what the channel points to and is gone is named, to whoever would boot it', () => {
  const view = { ...sampleView([node], []), gone: new Map([['web', 'web-0123456789ab']]) };
  const found = lookup(view, stranger, '9ffefdef/config.txt');
  assert.match(
    found.kind === 'missing' ? found.reason : '',
    /^web-0123456789ab, which image web stands for, is gone/,
  );
});

test('the first file waits until the pin is on the disk', async () => {
  let store = () => {};
  let stored: Promise<void> | undefined = new Promise<void>((resolve) => {
    store = resolve;
  });
  const openFile = createOpenBootFile({
    view: () => sampleView([node], [fresh]),
    pin: (): BootPin => ({ generation: old, stored }),
    macOf: () => undefined,
    log: silentLog,
  });
  let isOpen = false;
  const opening = openFile(stranger, '9ffefdef/kernel8.img').then((file) => {
    isOpen = true;
    return file;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(isOpen, false);
  store();
  const file = await opening;
  assert.ok(file.kind === 'file');
  assert.equal(Buffer.from(await file.read(0, 3)).toString(), 'old');
  await file.close();
  stored = undefined;
  const next = await openFile(stranger, '9ffefdef/cmdline.txt');
  assert.ok(next.kind === 'file');
  assert.match(Buffer.from(await next.read(0, 4096)).toString(), new RegExp(old.id));
});
