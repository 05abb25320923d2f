import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import type { Fleet } from '../../src/fleet/fleet.ts';
import type { FileChanges } from '../../src/fleet/node-files.ts';
import { type NodeFile, nodeFileSchema } from '../../src/model/node-file.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { openSmallFleet } from './small-fleet.ts';

const ONE = parseSerial('00000001');
const TWO = parseSerial('00000012'); // begins as no other serial does, and its files lie beside theirs

/** As the API hands it on: by path, with what was left out. */
const files = (texts: Record<string, string | Buffer | null>, mode = '0600'): FileChanges =>
  Object.fromEntries(
    Object.entries(texts).map(([path, text]) => {
      if (text === null) return [path, null];
      const content = Buffer.from(text).toString('base64');
      const { path: _, ...file } = nodeFileSchema.parse({ path, mode, content });
      return [path, file];
    }),
  );
const texts = (list: readonly NodeFile[]) =>
  Object.fromEntries(list.map(({ path, content }) => [path, Buffer.from(content, 'base64').toString()]));

describe('the files of nodes', () => {
  let store: MemoryStore;
  let fleet: Fleet;

  beforeEach(async () => {
    store = new MemoryStore();
    fleet = await openSmallFleet({ store });
    await fleet.profiles.set('rack', {
      image: 'web',
      files: files({ '/etc/a': 'rack a', '/etc/b': 'rack b' }),
    });
    await fleet.addNode({
      serial: ONE,
      name: 'one',
      profile: 'rack',
      files: files({ '/etc/b': 'one b' }, '0640'),
    });
    await fleet.addNode({ serial: TWO, name: 'two', profile: 'rack' });
  });

  it('are its own over those of its profile, path by path', () => {
    assert.deepEqual(texts(fleet.filesOf(fleet.find('one'))), { '/etc/a': 'rack a', '/etc/b': 'one b' });
    assert.deepEqual(texts(fleet.filesOf(fleet.find('two'))), { '/etc/a': 'rack a', '/etc/b': 'rack b' });
  });

  it('are told of by all but their content, with whose they are', () => {
    const [a, b] = fleet.files.factsOf(fleet.find('one'));
    const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
    const common = { owner: 'root', group: 'root' };
    assert.deepEqual(a, {
      ...common,
      path: '/etc/a',
      mode: '0600',
      bytes: 6,
      sha256: sha256('rack a'),
      origin: 'profile rack',
    });
    assert.deepEqual(b, {
      ...common,
      path: '/etc/b',
      mode: '0640',
      bytes: 5,
      sha256: sha256('one b'),
      origin: 'node',
    });
  });

  it('are replaced and taken away one by one, and then those of the profile show again', async () => {
    await fleet.setNode('one', { files: files({ '/etc/b': null, '/etc/c': 'one c' }) });
    assert.deepEqual(texts(fleet.filesOf(fleet.find('one'))), {
      '/etc/a': 'rack a',
      '/etc/b': 'rack b',
      '/etc/c': 'one c',
    });
  });

  it('of a profile are taken away there, not from one of its nodes, and who tries is told so', async () => {
    const change = fleet.setNode('one', { files: files({ '/etc/a': null }) });
    await assert.rejects(
      change,
      /no file \/etc\/a of node one\. It is profile rack's: netboot set-profile rack --file \/etc\/a=$/,
    );
  });

  it('change the bytes that are told of with the bytes that are delivered', async () => {
    const before = fleet.files.factsOf(fleet.find('one'));
    await fleet.profiles.set('rack', { files: files({ '/etc/a': 'another' }) });
    assert.notEqual(fleet.files.factsOf(fleet.find('one'))[0]?.sha256, before[0]?.sha256);
    assert.equal(fleet.files.factsOf(fleet.find('one'))[0]?.bytes, 7);
  });

  it('go with their node, in the same transaction, with all that others keep of it', async () => {
    const others = ['identity', 'state'].map((kind) => `${kind}/${ONE}`);
    await store.transact({ writes: others.map((key) => ({ kind: 'put', key, value: 1 }) as const) });
    for (const key of others)
      fleet.nodes.takeAlong((serial) => (key.endsWith(serial) ? [{ kind: 'delete', key }] : []));
    const before = store.revision();
    await fleet.removeNode('one');
    assert.equal(store.revision(), before + 1);
    assert.deepEqual(
      store.list('').flatMap(({ key }) => (key.startsWith('secret/') ? [] : [key])),
      ['file/profile/rack/etc/a', 'file/profile/rack/etc/b', 'node/00000012', 'profile/rack'],
    );
    await fleet.addNode({ serial: ONE, name: 'one', image: 'web' });
    assert.deepEqual(
      fleet.filesOf(fleet.find('one')),
      [],
      'who has its serial later has none of its secrets',
    );
  });

  it('may be 1 MiB and 100 for a node, whoever of the two brings more', async () => {
    const large = (count: number, folder: string) =>
      files(
        Object.fromEntries(
          Array.from({ length: count }, (_, n) => [`/${folder}/${n}`, Buffer.alloc(65_536)]),
        ),
      );
    await fleet.setNode('two', { files: large(15, 'own') });
    await assert.rejects(
      fleet.profiles.set('rack', { files: large(2, 'rack') }),
      /files of node two would be 19/,
    );
    await assert.rejects(fleet.setNode('two', { files: large(17, 'own') }), /files of node two would be/);
    const many = Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`/many/${n}`, '']));
    await assert.rejects(fleet.setNode('one', { files: files(many) }), /node one would be 103 with 11 bytes/);
    await fleet.profiles.set('web', { image: 'web', files: large(2, 'web') });
    await assert.rejects(fleet.setNode('two', { profile: 'web' }), /files of node two would be 17/);
  });

  it('deliver the very bytes that were given', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        await fleet.setNode('one', { files: files({ '/bin/x': Buffer.from(bytes) }) });
        const found = fleet.filesOf(fleet.find('one')).find(({ path }) => path === '/bin/x');
        assert.deepEqual(Buffer.from(found?.content ?? '', 'base64'), Buffer.from(bytes));
        assert.equal(fleet.files.factsOf(fleet.find('one'))[0]?.bytes, bytes.length);
      }),
      { numRuns: 30 },
    );
  });
});
