import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { type BootImage, BootImages } from '../../src/boot/boot-img.ts';
import { BootKeyFile } from '../../src/host/boot-key-file.ts';
import type { BootKey } from '../../src/model/boot-key.ts';
import { sampleGeneration } from './sample-view.ts';

const FILES: Readonly<Record<string, Buffer>> = {
  'kernel8.img': randomBytes(3_000_001),
  'start4.elf': randomBytes(70_000),
  'overlays/README': Buffer.from('overlays'),
  'overlays/overlay_map.dtb': randomBytes(512),
  // A tree that was imported may have these; the node's own take their place.
  'config.txt': Buffer.from('foreign'),
  'boot.img': Buffer.from('foreign'),
};
let folder: string;
let image: BootImage;
let key: BootKey;

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'netboot-img-'));
  for (const [name, content] of Object.entries(FILES)) {
    const file = path.join(folder, 'boot', name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content);
  }
  const sizes = Object.fromEntries(Object.entries(FILES).map(([name, { length }]) => [name, length]));
  const generation = sampleGeneration('web', sizes, folder);
  image = { generation, config: 'kernel=kernel8.img\n', cmdline: 'root=/dev/nfs\n' };
  key = (await new BootKeyFile(path.join(folder, 'keys/boot.pem')).make(false)).key;
});
const made: BootImages[] = [];
function newImages(): BootImages {
  const images = new BootImages(folder);
  made.push(images);
  return images;
}
after(async () => {
  for (const images of made) images.close();
  await rm(folder, { recursive: true });
});

async function wholeOf(asked: BootImage, images = newImages()): Promise<Buffer> {
  const file = await images.open(asked);
  const parts: Uint8Array[] = [];
  try {
    for (let at = 0; at < file.size; at += 100_000) parts.push(await file.read(at, 100_000));
  } finally {
    await file.close();
  }
  return Buffer.concat(parts);
}

const hasTools = existsSync('/usr/bin/mcopy') && existsSync('/usr/sbin/fsck.vfat');
test('a foreign reader finds the boot tree in it, with the files that are the node’s own', {
  skip: hasTools ? false : 'no mtools',
}, async () => {
  const file = path.join(folder, 'whole.img');
  await writeFile(file, await wholeOf(image));
  execFileSync('/usr/sbin/fsck.vfat', ['-n', file]);
  const out = await mkdtemp(path.join(folder, 'out-'));
  execFileSync('mcopy', ['-s', '-n', '-i', file, '::/', out]);
  for (const name of ['kernel8.img', 'start4.elf', 'overlays/README', 'overlays/overlay_map.dtb'])
    assert.ok((await readFile(path.join(out, name))).equals(FILES[name] as Buffer), name);
  assert.equal(await readFile(path.join(out, 'config.txt'), 'utf8'), image.config);
  assert.equal(await readFile(path.join(out, 'cmdline.txt'), 'utf8'), image.cmdline);
  await assert.rejects(stat(path.join(out, 'boot.img')));
});

test('it is the same bytes from whichever place it is read, and every time (checklist 49)', async () => {
  const whole = await wholeOf(image);
  assert.ok((await wholeOf(image)).equals(whole));
  const file = await newImages().open(image);
  assert.equal(file.size, whole.length);
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length + 1000), fc.nat(200_000), async (offset, length) => {
      const found = await file.read(offset, length);
      assert.ok(whole.subarray(offset, offset + length).equals(found));
    }),
    { numRuns: 200 },
  );
  const parts = await Promise.all([
    file.read(0, 100),
    file.read(5_000_000, 10),
    file.read(whole.length - 7, 100),
  ]);
  assert.deepEqual(
    parts.map(({ length }) => length),
    [100, 10, 7],
  );
  await file.close();
});

test('nodes of one generation share all but the end', async () => {
  const other = { ...image, cmdline: 'root=/dev/nfs systemd.hostname=other\n' };
  const [one, two] = [await wholeOf(image), await wholeOf(other)];
  const first = one.findIndex((byte, index) => byte !== two[index]);
  assert.ok(one.length === two.length && first > one.length - 4096);
  const images = newImages();
  const versionOf = async (asked: BootImage) => {
    const file = await images.open(asked);
    await file.close();
    return file.version;
  };
  assert.equal(await versionOf(image), await versionOf({ ...image }));
  assert.equal(await versionOf(image), createHash('sha256').update(one).digest('hex'));
  assert.notEqual(await versionOf(image), await versionOf(other));
});

test('boot.sig is a hash, a time and a signature that openssl verifies by the published key (checklist 59)', async () => {
  const images = newImages();
  for (const asked of [image, { ...image, config: `${image.config}#\n` }]) {
    const text = await images.sign(asked, key, 1_800_000_000);
    const [sha256, ts, rsa, rest] = text.split('\n');
    const whole = await wholeOf(asked);
    assert.equal(sha256, createHash('sha256').update(whole).digest('hex'));
    assert.equal(ts, 'ts: 1800000000');
    assert.match(rsa ?? '', /^rsa2048: [0-9a-f]{512}$/);
    assert.equal(rest, '');
    const at = (name: string) => path.join(folder, name);
    await writeFile(at('img'), whole);
    await writeFile(at('pub.pem'), key.publicKey);
    await writeFile(at('sig'), Buffer.from((rsa ?? '').slice('rsa2048: '.length), 'hex'));
    const verify = ['dgst', '-sha256', '-verify', at('pub.pem'), '-signature', at('sig'), at('img')];
    assert.match(execFileSync('openssl', verify).toString(), /Verified OK/);
    assert.equal(await images.sign(asked, key, 1_800_000_000), text);
    whole[12_345] = (whole[12_345] ?? 0) ^ 1;
    await writeFile(at('img'), whole);
    assert.throws(() => execFileSync('openssl', verify, { stdio: 'pipe' }));
  }
});

test('many who ask for a signature at once have the files read once', async () => {
  const images = newImages();
  const texts = await Promise.all(
    Array.from({ length: 50 }, (_, index) => images.sign({ ...image, cmdline: `host=${index}\n` }, key, 1)),
  );
  assert.equal(new Set(texts).size, 50);
  const started = performance.now();
  await images.sign({ ...image, cmdline: 'host=another\n' }, key, 1);
  assert.ok(performance.now() - started < 100, 'a hash and a signature of some sectors');
});

test('a file that is not what was sealed ends the reading, and its signing, until it is mended', async () => {
  const images = newImages();
  const file = path.join(folder, 'boot/start4.elf');
  await writeFile(file, 'short');
  await assert.rejects(wholeOf(image, images), /start4\.elf .*not what was sealed/);
  await assert.rejects(images.sign(image, key, 1), /start4\.elf/);
  await rm(file);
  await assert.rejects(images.sign(image, key, 1), /ENOENT/);
  await writeFile(file, FILES['start4.elf'] as Buffer);
  assert.match(await images.sign(image, key, 1), /^[0-9a-f]{64}\n/);
});
