import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { run } from '../../../src/host/run.ts';
import { fetchPackages } from '../../../src/imaging/packages/fetch.ts';
import { settlePackages } from '../../../src/imaging/packages/settle.ts';
import { type Archive, makeDeb, openArchive, openContext, requestTo } from './archive.ts';

const noise = (seed: string) =>
  Array.from({ length: 400 }, (_, index) =>
    createHash('sha256').update(`${seed}${index}`).digest('hex'),
  ).join('');
const world = [
  { name: 'apt' },
  ...Array.from({ length: 30 }, (_, index) => ({
    name: `part-${index}`,
    version: `1:${index}+b~1`,
    files: { 'usr/noise': noise(String(index)) },
  })),
];
const add = world.slice(1).map(({ name }) => name);

describe('fetchPackages', { concurrency: 1 }, () => {
  let archive: Archive;
  before(async () => {
    archive = await openArchive(world);
  });
  after(() => archive[Symbol.asyncDispose]());

  it('brings every file under its SHA-256, once for all, and tells how far it is', async (t) => {
    const { context, cache } = await openContext(t, archive);
    const request = requestTo(archive, { add });
    const section = await settlePackages(request, context);
    const told: [number, number][] = [];
    const onBytes = (done: number, total: number) => void told.push([done, total]);
    const files = await fetchPackages(section, request, { ...context, onBytes });
    assert.equal(files.size, 31);
    for (const { sha256, size } of section.packages) {
      const file = files.get(sha256) ?? '';
      assert.equal(file, join(cache, 'downloads', `${sha256}.deb`));
      assert.equal(
        createHash('sha256')
          .update(await readFile(file))
          .digest('hex'),
        sha256,
      );
      const { mode, size: found } = await stat(file);
      assert.deepEqual([mode & 0o777, found], [0o644, size]);
    }
    const total = section.packages.reduce((sum, { size }) => sum + size, 0);
    assert.deepEqual(told.at(-1), [total, total]);
    assert.deepEqual(await readdir(join(cache, 'work')), [], 'nothing half done is left');

    const before = archive.requests.length;
    assert.deepEqual(await fetchPackages(section, request, context), files);
    assert.equal(archive.requests.length, before, 'nothing is fetched again');
  });

  it('needs no archive for what is in the downloads', async (t) => {
    const { context } = await openContext(t, archive);
    const request = requestTo(archive, { add: add.slice(0, 2) });
    const section = await settlePackages(request, context);
    await fetchPackages(section, request, context);
    const elsewhere = { ...request, mirror: 'http://127.0.0.1:9/gone' };
    assert.equal((await fetchPackages(section, elsewhere, context)).size, 3);
  });

  it('fetches a damaged download again', async (t) => {
    const { context } = await openContext(t, archive);
    const request = requestTo(archive);
    const section = await settlePackages(request, context);
    const [file = ''] = (await fetchPackages(section, request, context)).values();
    const sound = await readFile(file);
    await writeFile(file, Buffer.from(sound).fill(0, 100, 101));
    await fetchPackages(section, request, context);
    assert.deepEqual(await readFile(file), sound);
  });

  it('keeps what came before the mirror went away, and goes on there', async (t) => {
    const { context, cache } = await openContext(t, archive);
    const request = requestTo(archive, { add });
    const section = await settlePackages(request, context);
    const total = section.packages.reduce((sum, { size }) => sum + size, 0);
    t.after(() => archive.revive());
    archive.dieAfter(total / 2);
    await assert.rejects(fetchPackages(section, request, context), (error: Error) => {
      assert.equal(error.name, 'Refusal');
      assert.match(
        error.message,
        /^part-\d+ 1:\d+\+b~1 \(all\).* could not be fetched, \d+ of 31 were and are kept: the mirror 127\.0\.0\.1 cannot be reached/,
      );
      return true;
    });
    const kept = await readdir(join(cache, 'downloads'));
    assert.ok(kept.length > 0 && kept.length < 31, `${kept.length} of 31`);
    assert.deepEqual(await readdir(join(cache, 'work')), []);

    await archive.revive();
    archive.requests.length = 0;
    assert.equal((await fetchPackages(section, request, context)).size, 31);
    assert.equal(archive.requests.filter((path) => path.endsWith('.deb')).length, 31 - kept.length);
  });

  it('says which locked package the archive no longer has, and what to do', async (t) => {
    const { context, cache } = await openContext(t, archive);
    const request = requestTo(archive, { add: ['part-3', 'part-4'] });
    const section = await settlePackages(request, context);
    const gone = join(archive.folder, 'www/pool/part-3_1%3a3+b~1_all.deb');
    await rename(gone, `${gone}.away`);
    t.after(() => rename(`${gone}.away`, gone));
    await assert.rejects(fetchPackages(section, request, context), {
      name: 'Refusal',
      message:
        /^The archive no longer has part-3 1:3\+b~1 \(all\)\. Build with --update .*"mirror".* snapshot archive/,
    });
    assert.equal((await readdir(join(cache, 'downloads'))).length, 2, 'the others are kept');
  });

  it('refuses a file that is not the locked one', async (t) => {
    const { context, cache } = await openContext(t, archive);
    const request = requestTo(archive, { add: ['part-5'] });
    const section = await settlePackages(request, context);
    const file = join(archive.folder, 'www/pool/part-5_1%3a5+b~1_all.deb');
    const sound = await readFile(file);
    t.after(() => writeFile(file, sound));
    await writeFile(file, Buffer.from(sound).fill(0, 200, 300));
    await assert.rejects(fetchPackages(section, request, context), {
      name: 'Refusal',
      message: /^part-5 1:5\+b~1 .*: the mirror is being changed, or changes what it sends\. Try again/,
    });
    assert.equal((await readdir(join(cache, 'downloads'))).length, 1);
  });

  it('takes a file beside the recipe, and says when it is no longer the same', async (t) => {
    const { context, cache } = await openContext(t, archive);
    const own = await makeDeb(cache, { name: 'own' });
    const request = requestTo(archive, { local: [own] });
    const section = await settlePackages(request, context);
    const files = await fetchPackages(section, request, context);
    const { sha256 } = section.packages.find(({ name }) => name === 'own') ?? { sha256: '' };
    assert.deepEqual(await readFile(files.get(sha256) ?? ''), await readFile(own));

    await rm(files.get(sha256) ?? '');
    await makeDeb(cache, { name: 'own', files: { 'usr/other': 'x' } });
    await assert.rejects(
      fetchPackages(section, request, context),
      /own_1\.0_all\.deb, which has own 1\.0 \(all\), is not as it was\. Put it back/,
    );
  });

  it('says so when the disk is full, and keeps what is there', async (t) => {
    if (process.geteuid?.() !== 0) return t.skip('only root mounts');
    const { context } = await openContext(t, archive);
    const request = requestTo(archive, { add });
    const section = await settlePackages(request, context);
    const { context: small, cache } = await openContext(t, archive);
    await run('mount', ['-t', 'tmpfs', '-o', 'size=400k', 'tmpfs', join(cache, 'work')]);
    await using _mounted = {
      [Symbol.asyncDispose]: () => run('umount', [join(cache, 'work')]).then(() => {}),
    };
    const downloadsFolder = join(cache, 'work/downloads');
    await mkdir(downloadsFolder);
    await assert.rejects(fetchPackages(section, request, { ...small, downloadsFolder }), {
      name: 'Refusal',
      message: /the disk is full\. Make room/,
    });
  });

  it('stops when told to', async (t) => {
    const { context } = await openContext(t, archive);
    const request = requestTo(archive, { add });
    const section = await settlePackages(request, context);
    const signal = AbortSignal.timeout(30);
    await assert.rejects(fetchPackages(section, request, { ...context, signal }));
  });
});
