import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { beforeEach, describe, it } from 'node:test';
import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { addEventRoutes } from '../../src/api/event-routes.ts';
import { addNodeRoutes } from '../../src/api/node-routes.ts';
import { installProblems } from '../../src/api/problems.ts';
import { addProfileRoutes } from '../../src/api/profile-routes.ts';
import type { NodeAnswer, NodesAnswer, ProfileAnswer, ProfilesAnswer } from '../../src/api/schemas.ts';
import type { Fleet } from '../../src/fleet/fleet.ts';
import type { Transaction } from '../../src/fleet/store.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { openSmallFleet, sealed } from '../fleet/small-fleet.ts';

const SECRET = 'correct horse battery staple';
const CONTENT = Buffer.from(SECRET).toString('base64');

class BreakingStore extends MemoryStore {
  isBroken = false;

  override transact(transaction: Transaction): Promise<number> {
    return this.isBroken ? Promise.reject(new Error('disk full')) : super.transact(transaction);
  }
}

describe('nodes and profiles over the API', () => {
  let store: BreakingStore;
  let api: FastifyInstance;
  let fleet: Fleet;
  /** Every byte that was answered or logged. */
  let heard: string;

  beforeEach(async () => {
    heard = '';
    const log: FastifyBaseLogger = pino(
      { level: 'trace' },
      new Writable({
        write(chunk, _encoding, done) {
          heard += chunk;
          done();
        },
      }),
    );
    store = new BreakingStore();
    fleet = await openSmallFleet({
      store,
      config: 'power: { poe: { cycle: [/bin/true] } }\n',
      generations: [sealed('web-000000000001', { node: { root: 'overlay' } })],
      log,
    });
    await fleet.publish('web', 'web-000000000001');
    api = Fastify({ loggerInstance: log });
    installProblems(api);
    addNodeRoutes(api, fleet, (reference) => reference);
    addProfileRoutes(api, fleet);
    addEventRoutes(api, fleet.events);
  });

  const ask = async <Answer>(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', url: string, payload?: unknown) => {
    const body = typeof payload === 'string' ? payload : JSON.stringify(payload);
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const response = await api.inject({
      method,
      url,
      headers,
      ...(body === undefined ? {} : { payload: body }),
    });
    heard += response.body;
    return { status: response.statusCode, body: response.json<Answer>() };
  };
  const add = (more: object = {}) => ask<NodeAnswer>('POST', '/v1/nodes', { serial: '00000001', ...more });

  it('says of one node who says each of its settings, and of all only what they are', async () => {
    await ask('PATCH', '/v1/profiles/rack', { image: 'web', block: { size: '4G' }, power: 'poe' });
    await add({ name: 'one', profile: 'rack', nfs: 4, outlet: '10.0.0.9:3' });
    const { body } = await ask<NodeAnswer>('GET', '/v1/nodes/one');
    assert.deepEqual(body.node.origins, {
      image: 'profile rack',
      block: 'profile rack',
      power: 'profile rack',
      nfs: 'node',
      outlet: 'node',
      root: 'image',
      memory: 'default',
    });
    assert.equal(body.node.root, 'overlay');
    assert.deepEqual(body.node.block, { size: '4G', path: '/var/lib/containers' });
    const [listed] = (await ask<NodesAnswer>('GET', '/v1/nodes')).body.nodes;
    assert.equal(listed?.profile, 'rack');
    assert.equal(listed?.origins, undefined);
  });

  it('makes, changes, lists and removes profiles', async () => {
    const made = await ask<ProfileAnswer>('PATCH', '/v1/profiles/rack', { image: 'web', role: 'web' });
    assert.deepEqual([made.status, made.body.isNew], [201, true]);
    const changed = await ask<ProfileAnswer>('PATCH', '/v1/profiles/rack', { role: null });
    assert.deepEqual([changed.status, changed.body.profile.settings], [200, { image: 'web' }]);
    await add({ name: 'one', profile: 'rack' });
    const { profiles } = (await ask<ProfilesAnswer>('GET', '/v1/profiles')).body;
    assert.deepEqual(profiles, [{ name: 'rack', settings: { image: 'web' }, files: [], nodes: ['one'] }]);
    const refused = await ask<{ error: string }>('DELETE', '/v1/profiles/rack');
    assert.equal(refused.status, 409);
    assert.match(refused.body.error, /Profile "rack" is that of one/);
    await ask('DELETE', '/v1/nodes/one');
    assert.equal((await ask('DELETE', '/v1/profiles/rack')).status, 200);
    assert.equal((await ask('GET', '/v1/profiles/rack')).status, 409);
  });

  it('tells no content of any file: not in an answer, an event, a refusal, nor a log', async () => {
    const file = { content: CONTENT, mode: '0640', owner: 'app' };
    await ask('PATCH', '/v1/profiles/rack', { image: 'web', files: { '/etc/shared': file } });
    const { body } = await add({ name: 'one', profile: 'rack', files: { '/etc/key': file } });
    assert.deepEqual(
      body.node.files?.map(({ path, mode, owner, bytes, origin }) => [path, mode, owner, bytes, origin]),
      [
        ['/etc/key', '0640', 'app', SECRET.length, 'node'],
        ['/etc/shared', '0640', 'app', SECRET.length, 'profile rack'],
      ],
    );
    const wrong = [
      { files: { '/etc/key': { content: `${CONTENT}!` } } },
      { files: { '/etc/key': { content: [CONTENT] } } },
      { files: { [`/${CONTENT.slice(0, 3)} `]: file } },
      { files: { '/etc/key': { ...file, mode: 'rw' } } },
      { files: { '/etc/key': CONTENT } },
      { files: [CONTENT] },
      { files: CONTENT },
      { content: CONTENT },
      { role: CONTENT },
      `{ "files": { "/etc/key": { "content": "${CONTENT}" } }, }`,
      `{ "files": { "/etc/key": { "content": "${CONTENT}`,
    ];
    for (const each of wrong) {
      assert.equal((await ask('PATCH', '/v1/nodes/one', each)).status, 400, JSON.stringify(each));
    }
    store.isBroken = true;
    assert.equal((await ask('PATCH', '/v1/nodes/one', { files: { '/etc/key': file } })).status, 500);
    for (const path of ['/v1/nodes', '/v1/nodes/one', '/v1/profiles', '/v1/profiles/rack'])
      await ask('GET', path);
    heard += JSON.stringify(fleet.events.since());
    assert.match(heard, /disk full/, 'the log is listened to');
    for (const part of [SECRET, CONTENT, CONTENT.slice(4, 16)]) assert.ok(!heard.includes(part), part);
  });

  const wrong: ReadonlyArray<{ given: object; expect: RegExp }> = [
    { given: { root: 'rw' }, expect: /^root: .*"readonly"\|"overlay"\|"private"/ },
    { given: { memory: '256' }, expect: /^memory: write 256M, or 50%/ },
    { given: { memory: '150%' }, expect: /^memory: write 256M, or 50%/ },
    { given: { disk: '0G' }, expect: /^disk: write a size as 512M or 4G/ },
    { given: { nfs: 2 }, expect: /^nfs: write 3 or 4/ },
    { given: { nfs: '4' }, expect: /^nfs: write 3 or 4/ },
    { given: { block: { size: '4G', path: '/a/../b' } }, expect: /may not hold "\." or "\.\."/ },
    { given: { outlet: 'a b' }, expect: /^outlet: write letters, digits/ },
    { given: { power: '../x' }, expect: /^power: a name has/ },
    { given: { profile: 'A' }, expect: /^profile: a name has/ },
    { given: { colour: 'red' }, expect: /"colour"/ },
    { given: { files: { 'etc/x': { content: '' } } }, expect: /^file "etc\/x": write an absolute path/ },
    { given: { files: { '/etc/../x': { content: '' } } }, expect: /^file "\/etc\/\.\.\/x": .*"\.\."/ },
    {
      given: { files: { '/proc/x': { content: '' } } },
      expect: /^file "\/proc\/x": nothing can be put there/,
    },
    { given: { files: { '/x': {} } }, expect: /^file "\/x": content: / },
    {
      given: { files: { '/x': { content: '', mode: '777' } } },
      expect: /^file "\/x": mode: write the mode as 0600/,
    },
    { given: { files: { '/x': { content: '', owner: 'a b' } } }, expect: /^file "\/x": owner: / },
    { given: { files: { '/x': { content: 'A'.repeat(90_000) } } }, expect: /^file "\/x": content: .*64 KiB/ },
  ];
  for (const { given, expect } of wrong) {
    it(`refuses ${JSON.stringify(given).slice(0, 60)} of a node and of a profile`, async () => {
      const before = fleet.view().revision;
      const node = await ask<{ error: string }>('POST', '/v1/nodes', { serial: '00000001', ...given });
      const profile = await ask<{ error: string }>('PATCH', '/v1/profiles/rack', given);
      assert.equal(node.status, 400);
      assert.match(node.body.error, expect);
      assert.equal(profile.status, 400);
      if (!('profile' in given)) assert.match(profile.body.error, expect);
      assert.equal(fleet.view().revision, before);
    });
  }

  it('refuses a name of a profile that is none, and a body that no node could have', async () => {
    const { status, body } = await ask<{ error: string }>('PATCH', '/v1/profiles/Rack%2F1', {});
    assert.equal(status, 400);
    assert.match(body.error, /^profile: a name has 1-63 lower-case letters/);
    assert.equal((await ask('PATCH', '/v1/profiles/rack', { x: 'a'.repeat(3 * 1024 * 1024) })).status, 413);
  });

  it('takes all that a node may have in one request', async () => {
    const content = Buffer.alloc(65_536, 1).toString('base64');
    const files = Object.fromEntries(Array.from({ length: 16 }, (_, n) => [`/f/${n}`, { content }]));
    const { status, body } = await add({ image: 'web', files });
    assert.deepEqual([status, body.node.files?.length], [201, 16]);
  });
});
