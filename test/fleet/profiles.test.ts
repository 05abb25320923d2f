import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { ToldEvent } from '../../src/fleet/events.ts';
import type { Fleet } from '../../src/fleet/fleet.ts';
import type { Transaction } from '../../src/fleet/store.ts';
import { silentLog } from '../../src/model/log.ts';
import { type OwnNode, ownNodeSchema } from '../../src/model/node.ts';
import { nodeFileSchema } from '../../src/model/node-file.ts';
import { Warnings } from '../../src/model/warnings.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { SqliteStore } from '../../src/store/sqlite-store.ts';
import { openSmallFleet, sealed } from './small-fleet.ts';

const ONE = parseSerial('00000001');
const TWO = parseSerial('00000002');
const POWER = 'power: { poe: { cycle: [/bin/true] } }\n';
const file = (text: string) => {
  const content = Buffer.from(text).toString('base64');
  const { path: _, ...rest } = nodeFileSchema.parse({ path: '/etc/app/key', content });
  return rest;
};

class CountingStore extends MemoryStore {
  readonly transactions: Transaction[] = [];

  override transact(transaction: Transaction): Promise<number> {
    this.transactions.push(transaction);
    return super.transact(transaction);
  }
}

describe('profiles', () => {
  let store: CountingStore;
  let fleet: Fleet;
  let told: ToldEvent[];

  const open = async () => {
    fleet = await openSmallFleet({
      store,
      config: POWER,
      generations: [
        sealed('web-000000000001'),
        sealed('web-00000000001d', { provides: [] }),
        sealed('db-000000000001', { roles: {}, provides: [] }),
      ],
    });
    told = [];
    fleet.events.listen((event) => told.push(event));
  };
  const node = (reference: string) => fleet.find(reference);
  const changed = () => told.flatMap((event) => (event.kind === 'node changed' ? [event.serial] : []));

  beforeEach(async () => {
    store = new CountingStore();
    await open();
    await fleet.publish('web', 'web-000000000001');
    await fleet.publish('db', 'db-000000000001');
    await fleet.profiles.set('rack', { image: 'web', role: 'web' });
    await fleet.addNode({ serial: ONE, name: 'one', profile: 'rack' });
    told = [];
    store.transactions.length = 0;
  });

  it('give a node what it does not say itself, in the view that everything reads', () => {
    assert.deepEqual(fleet.view().nodes.get(ONE), {
      serial: ONE,
      name: 'one',
      image: 'web',
      role: 'web',
      profile: 'rack',
    });
    assert.deepEqual(store.get('node/00000001')?.value, { serial: ONE, name: 'one', profile: 'rack' });
  });

  it('change all their nodes by one transaction, one view, and an event for each that changed', async () => {
    await fleet.addNode({ serial: TWO, name: 'two', profile: 'rack', root: 'readonly' });
    told = [];
    store.transactions.length = 0;
    const before = fleet.view();
    await fleet.profiles.set('rack', { root: 'overlay', memory: '64M' });
    assert.equal(store.transactions.length, 1);
    assert.equal(before.nodes.get(ONE)?.root, undefined);
    assert.equal(node('one').root, 'overlay');
    assert.deepEqual([node('two').root, node('two').memory], ['readonly', '64M']);
    assert.deepEqual(changed(), [ONE, TWO]);
    told = [];
    await fleet.profiles.set('rack', { root: 'private' });
    assert.deepEqual(changed(), [ONE], 'node two says its root itself: for it nothing has changed');
  });

  it('take a value away with null, and their nodes have the next one who says it', async () => {
    await fleet.profiles.set('rack', { role: null, power: 'poe' });
    assert.deepEqual(fleet.profiles.find('rack').settings, { image: 'web', power: 'poe' });
    assert.equal(node('one').role, undefined);
  });

  it('are there again after a restart', async () => {
    await fleet.profiles.set('rack', { nfs: 4, files: { '/etc/app/key': file('secret') } });
    const before = [node('one'), fleet.profiles.all(), fleet.filesOf(node('one'))];
    await open();
    assert.deepEqual([node('one'), fleet.profiles.all(), fleet.filesOf(node('one'))], before);
  });

  it('are removed when no node has them, with their files', async () => {
    await fleet.profiles.set('rack', { files: { '/etc/app/key': file('secret') } });
    await assert.rejects(fleet.profiles.remove('rack'), /Profile "rack" is that of one.*--profile OTHER/);
    await fleet.setNode('one', { profile: null, image: 'web' });
    await fleet.profiles.remove('rack');
    assert.deepEqual(fleet.profiles.all(), []);
    assert.deepEqual(store.list('file/'), []);
  });

  it('leave a node that vanished from them as it is, and tell apart names that begin alike', async () => {
    await fleet.profiles.set('rack-2', { image: 'db', files: { '/a': file('of rack-2') } });
    await fleet.profiles.set('rack', { files: { '/b': file('of rack') } });
    assert.deepEqual(
      fleet.filesOf(node('one')).map(({ path }) => path),
      ['/b'],
    );
  });

  const refused: ReadonlyArray<{ what: string; given: () => Promise<unknown>; expect: RegExp }> = [
    {
      what: 'an image that is not there',
      given: () => fleet.profiles.set('rack', { image: 'no' }),
      expect: /There is no image "no"\. Known images: db, web/,
    },
    {
      what: 'a role that the image of its nodes has not got',
      given: () => fleet.profiles.set('rack', { role: 'dns' }),
      expect: /^Refusal: The image "web" has no role "dns"\. Its roles: web\.$/,
    },
    {
      what: 'an image that has not got its role',
      given: () => fleet.profiles.set('rack', { image: 'db' }),
      expect: /^Refusal: The image "db" has no role "web"\. Its roles: none/,
    },
    {
      what: 'an image that has not got the role that a node says itself',
      given: () => fleet.setNode('three', { image: 'db' }),
      expect: /no role "web"\. Its roles: none\. Take it away from node three: --role=$/,
    },
    {
      what: 'an image of a node that has not got the role of its profile',
      given: () => fleet.setNode('one', { image: 'db' }),
      expect: /no role "web"\. Its roles: none\. Profile rack says so: give node one --role none, or another/,
    },
    ...['8M', '16383K', '20T'].flatMap((size) => [
      {
        what: `a disk of ${size} for a node`,
        given: () => fleet.setNode('one', { disk: size }),
        expect: new RegExp(`^Refusal: No disk can have ${size}\\. Give --disk 16M to 16T\\.$`),
      },
      {
        what: `a block file of ${size} for all nodes of a profile`,
        given: () => fleet.profiles.set('rack', { block: { size, path: '/srv' } }),
        expect: new RegExp(`No disk can have ${size}\\. Give --block 16M to 16T`),
      },
    ]),
    {
      what: 'a power template that the configuration has not got',
      given: () => fleet.profiles.set('rack', { power: 'plug' }),
      expect: /no power template "plug"\. There are: poe\. Add it below "power:" and/,
    },
    {
      what: 'a root that the generation was built too early for',
      given: () => fleet.profiles.set('rack', { image: 'db', role: null, root: 'overlay' }),
      expect: /Node "one" of profile "rack".*db-000000000001 was built before.*build-image db/,
    },
    {
      what: 'to leave a node without an image',
      given: () => fleet.profiles.set('rack', { image: null }),
      expect: /Node "one" of profile "rack" cannot be so: No image is named\. Give one with --image: db, web/,
    },
    {
      what: 'a profile that is not there',
      given: () => fleet.setNode('one', { profile: 'none' }),
      expect: /no profile "none"\. Known profiles: rack\. Make it with: netboot set-profile none/,
    },
    {
      what: 'a node of a profile that is not there',
      given: () => fleet.addNode({ serial: TWO, profile: 'none' }),
      expect: /There is no profile "none"/,
    },
    {
      what: 'to take a file away that is not there',
      given: () => fleet.profiles.set('rack', { files: { '/etc/x': null } }),
      expect: /no file \/etc\/x of profile rack/,
    },
    {
      what: 'a file where another needs a folder',
      given: () => fleet.profiles.set('rack', { files: { '/a': file(''), '/a/b': file('') } }),
      expect: /files \/a and \/a\/b of profile rack cannot be there both/,
    },
    {
      what: 'power of a node that the configuration has not got',
      given: () => fleet.setNode('one', { power: 'plug' }),
      expect: /no power template "plug"/,
    },
    {
      what: 'to remove what is not there',
      given: () => fleet.profiles.remove('none'),
      expect: /There is no profile "none"/,
    },
  ];
  for (const { what, given, expect } of refused) {
    it(`refuse ${what}, and nothing has changed`, async () => {
      await fleet.addNode({ serial: parseSerial('00000003'), name: 'three', image: 'web', role: 'web' });
      told = [];
      const before = [fleet.view(), store.list('')];
      await assert.rejects(given(), expect);
      assert.equal(fleet.view(), before[0]);
      assert.deepEqual(store.list(''), before[1]);
      assert.deepEqual(told, []);
    });
  }

  it('do without the role of their profile where they say so themselves', async () => {
    await fleet.setNode('one', { image: 'db', role: 'none' });
    assert.equal(node('one').role, undefined);
    const { settings, origins } = fleet.nodes.settled('one');
    assert.deepEqual([settings.role, origins.role], ['none', 'node']);
    await fleet.setNode('one', { image: null, role: null });
    assert.equal(node('one').role, 'web');
  });

  it('are changed in other ways while a size of theirs is one that was taken earlier', async () => {
    const settings = { image: 'web', disk: '8M', block: { size: '20T', path: '/srv' } };
    const key = 'profile/rack';
    await store.transact({ writes: [{ kind: 'put', key, value: { name: 'rack', settings } }] });
    await open();
    await fleet.profiles.set('rack', { power: 'poe', block: { size: '20T', path: '/elsewhere' } });
    await fleet.setNode('one', { name: 'uno', disk: '16M' });
    await assert.rejects(fleet.setNode('uno', { disk: '8M' }), /No disk can have 8M/);
  });

  it('say which node could not be so, and how many more', async () => {
    await fleet.profiles.set('rack', { role: null });
    await fleet.setNode('one', { role: 'web' });
    const change = () => fleet.profiles.set('rack', { image: 'db' });
    const words = 'of profile "rack" cannot be so: The image "db" has no role "web"\\. Its roles: none';
    await assert.rejects(change(), new RegExp(`Node "one" ${words}`));
    await fleet.addNode({ serial: TWO, name: 'two', profile: 'rack', role: 'web' });
    await assert.rejects(change(), new RegExp(`Node "one" and 1 more ${words}`));
  });

  it('do not refuse a change for what was wrong before it and is not touched', async () => {
    await fleet.setNode('one', { root: 'overlay' });
    await fleet.rollback('web', 'web-00000000001d');
    await fleet.setNode('one', { name: 'uno' });
    await fleet.profiles.set('rack', { power: 'poe' });
    await assert.rejects(fleet.setNode('uno', { root: 'private' }), /built before there was root private/);
  });

  it('follow one another when many change at once', async () => {
    const sizes = ['1M', '2M', '3M', '4M'];
    await Promise.all(sizes.map((memory) => fleet.profiles.set('rack', { memory })));
    assert.equal(node('one').memory, '4M');
  });
});

describe('the nodes of an earlier version', () => {
  it('are read as they are: what they have is their own', async () => {
    const store = new MemoryStore();
    const value = { serial: ONE, name: 'one', image: 'web', role: 'web', ramdisk: true, ip: '10.0.0.7' };
    await store.transact({ writes: [{ kind: 'put', key: 'node/00000001', value }] });
    const fleet = await openSmallFleet({ store });
    assert.deepEqual(fleet.find('one'), value);
    assert.deepEqual(fleet.nodes.settled('one').origins, {
      image: 'node',
      role: 'node',
      ramdisk: 'node',
      root: 'default',
      nfs: 'default',
    });
  });

  it('are not lost when nobody names their image any more: warned of, not served, and to be mended', async () => {
    const warnings = new Warnings(silentLog, Date.now);
    const store = new MemoryStore();
    await (await openSmallFleet({ store, config: 'nodes: { defaultImage: web }\n' })).addNode({
      serial: ONE,
    });
    const fleet = await openSmallFleet({ store });
    await fleet.inspectGenerations(warnings);
    assert.match(
      warnings.all()[0]?.text ?? '',
      /pi-00000001 is not served: nobody names an image.*set-node 00000001/,
    );
    assert.equal(fleet.view().nodes.size, 0);
    assert.throws(() => fleet.find(ONE), /Node pi-00000001 has no image.*set-node 00000001 --image/);
    await fleet.setNode(ONE, { image: 'db' });
    assert.equal(fleet.view().nodes.get(ONE)?.image, 'db');
    await fleet.inspectGenerations(warnings);
    assert.deepEqual(warnings.all(), []);
  });
});

describe('a profile of a thousand nodes', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'netboot-profiles-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('is changed in well under a second, on a disk', async () => {
    const store = new SqliteStore(join(folder, 'state.db'));
    const nodes = Array.from({ length: 1000 }, (_, index): OwnNode => {
      const serial = (index + 1).toString(16).padStart(8, '0');
      return ownNodeSchema.parse({ serial, name: `pi${index}`, profile: 'rack' });
    });
    await store.transact({
      writes: [
        { kind: 'put', key: 'profile/rack', value: { name: 'rack', settings: { image: 'web' } } },
        ...nodes.map((node) => ({ kind: 'put', key: `node/${node.serial}`, value: node }) as const),
      ],
    });
    const fleet = await openSmallFleet({ store, generations: [sealed('web-000000000001')] });
    await fleet.publish('web', 'web-000000000001');
    const times: number[] = [];
    for (const memory of ['1M', '2M', '3M']) {
      const startedAt = performance.now();
      await fleet.profiles.set('rack', { root: 'overlay', memory, files: { '/etc/key': file(memory) } });
      times.push(performance.now() - startedAt);
    }
    assert.equal(fleet.view().nodes.get(nodes[999]?.serial ?? ONE)?.memory, '3M');
    assert.ok(Math.min(...times) < 250, `${times.map(Math.round)} ms`);
    store.close();
  });
});
