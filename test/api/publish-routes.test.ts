import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import Fastify, { type FastifyInstance } from 'fastify';
import { addEventRoutes } from '../../src/api/event-routes.ts';
import { installProblems } from '../../src/api/problems.ts';
import { addPublishRoutes } from '../../src/api/publish-routes.ts';
import type { Problem, PublishAnswer, RetentionAnswer, WithdrawnAnswer } from '../../src/api/schemas.ts';
import { parseConfig } from '../../src/config.ts';
import { EventHub, type ToldEvent } from '../../src/fleet/events.ts';
import { Fleet } from '../../src/fleet/fleet.ts';
import { resolveNetworks } from '../../src/fleet/networks.ts';
import type { GenerationCheck, StoredGeneration } from '../../src/model/generation.ts';
import { silentLog } from '../../src/model/log.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { openExporter } from '../../src/nfs/exporter.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { sampleGeneration } from '../boot/sample-view.ts';

const CONFIG = parseConfig(
  'interfaces:\n  eth0:\n    dhcp: full\n    pool: 10.0.0.100-10.0.0.199\nbuild: { keep: 1 }\n',
  'f',
);
const PRESENT = [{ interface: 'eth0', address: '10.0.0.1' as Ipv4, prefix: 24, mtu: 1500 }];
const PI = parseSerial('9ffefdef');

const [A, B, C] = ['a', 'b', 'c'].map((letter, day): StoredGeneration => {
  const id = `web-00000000000${letter}`;
  return { ...sampleGeneration('web', {}, `/${id}`), id, sealedAt: `2026-01-0${day + 1}T00:00:00Z` };
}) as [StoredGeneration, StoredGeneration, StoredGeneration];

describe('publishing by the API', () => {
  let api: FastifyInstance;
  let fleet: Fleet;
  let sealed: StoredGeneration[];
  let check: GenerationCheck;
  let exported: string[];
  /** While it is there, whoever looks at the disk waits for it, and then tells what was there at first. */
  let disk: PromiseWithResolvers<void> | undefined;
  const gone = new Set<string>();

  beforeEach(async () => {
    sealed = [A, B, C];
    gone.clear();
    disk = undefined;
    check = { isGone: false, faults: [] };
    const options = { stateFolder: '/nowhere', exportsFolder: '/exports', generationsFolder: '/nowhere' };
    const none = await openExporter({ kind: 'none', ...options, run: async () => '', log: silentLog });
    const exporter = {
      ...none,
      apply: async (desired: ReadonlyArray<{ path: string }>) => {
        exported = desired.flatMap(({ path }) => /images\/(.*)$/.exec(path)?.[1] ?? []);
      },
    };
    fleet = await Fleet.open(
      {
        store: new MemoryStore(),
        exporter,
        readGenerations: async () => {
          const generations = sealed;
          await disk?.promise;
          return { generations, problems: [] };
        },
        checkGeneration: async ({ id }) => (gone.has(id) ? { isGone: true, faults: [] } : check),
        recipeNames: async () => ['base', 'web'],
        log: silentLog,
      },
      CONFIG,
      resolveNetworks(CONFIG.interfaces, PRESENT),
    );
    api = Fastify();
    installProblems(api);
    addPublishRoutes(api, fleet);
    addEventRoutes(api, fleet.events);
  });

  afterEach(() => api.close());

  const ask = async <Answer>(method: 'GET' | 'POST' | 'DELETE', url: string, payload?: object) => {
    const response = await api.inject({ method, url, ...(payload ? { payload } : {}) });
    return { status: response.statusCode, body: JSON.parse(response.body || 'null') as Answer & Problem };
  };
  const publish = (generation: StoredGeneration) =>
    ask<PublishAnswer>('POST', '/v1/images/web/publish', { generation: generation.id });
  const rollback = (body: object = {}) => ask<PublishAnswer>('POST', '/v1/images/web/rollback', body);
  const boot = (...names: string[]) => {
    const { node } = { node: fleet.find(PI) };
    for (const name of names) fleet.pin(node, name);
  };

  it('says what the image stood for, and tells an event only when that changes', async () => {
    assert.equal((await publish(A)).body.before, undefined);
    assert.equal((await publish(B)).body.before, A.id);
    assert.equal((await publish(B)).body.before, undefined);
    const { body } = await ask<ToldEvent[]>('GET', '/v1/events?follow=false');
    assert.deepEqual(
      body.map(({ kind }) => kind),
      ['published', 'published'],
    );
  });

  it('keeps what was sealed while somebody else looked at the disk', async () => {
    await publish(A);
    disk = Promise.withResolvers();
    sealed = [A];
    const slow = disk;
    const looking = ask<RetentionAnswer>('GET', '/v1/retention');
    await new Promise((resolve) => setTimeout(resolve, 20));
    sealed = [A, B];
    disk = undefined;
    const publishing = publish(B);
    setTimeout(() => slow.resolve(), 20);
    assert.equal((await publishing).status, 200);
    await looking;
    await fleet.addNode({ serial: PI, image: 'web' });
    assert.equal(fleet.view().published.get('web')?.id, B.id);
  });

  it('refuses what is damaged, and then nothing has changed', async () => {
    await publish(A);
    check = { isGone: false, faults: ['boot/start4.elf is missing'] };
    const { status, body } = await publish(B);
    assert.equal(status, 409);
    assert.match(
      body.error,
      /web-00000000000b is damaged: boot\/start4\.elf is missing\. It is not published/,
    );
    assert.equal(fleet.view().published.get('web')?.id, A.id);
  });

  it('rolls back to what was published before, or to what is named', async () => {
    await publish(A);
    const alone = await rollback();
    assert.equal(alone.status, 409);
    assert.match(
      alone.body.error,
      /published before is there any more\. Name one .*--to: web-00000000000b, web-00000000000c/,
    );
    await publish(B);
    await publish(C);
    assert.deepEqual((await ask('GET', '/v1/images/web/rollback')).body, { generation: B.id });
    assert.deepEqual(
      [(await rollback()).body.generation, fleet.view().published.get('web')?.id],
      [B.id, B.id],
    );
    assert.equal((await rollback({ to: A.id })).body.before, B.id);
    assert.match((await rollback({ to: A.id })).body.error, /stands for already/);
    assert.match(
      (await rollback({ to: 'web-000000000000' })).body.error,
      /no generation "web-000000000000".*Sealed ones/,
    );
    assert.equal((await rollback({ two: A.id })).status, 400);
  });

  it('has a Pi boot the one image that stands for something, when no other is named', async () => {
    await assert.rejects(
      fleet.addNode({ serial: PI }),
      /No image is named\. Give one with --image: base, web/,
    );
    await publish(A);
    await assert.rejects(fleet.addNode({ mac: '52:54:00:12:34:56' as Mac }), /No image is named/);
    assert.equal((await fleet.addNode({ serial: PI })).node.image, 'web');
  });

  it('never lets go of what a node runs, nor of what it may still run', async () => {
    await fleet.addNode({ serial: PI, name: 'one', image: 'web' });
    await publish(A);
    boot('start4.elf', 'vmlinuz');
    await publish(B);
    await publish(C);
    const refused = await ask('DELETE', `/v1/generations/${A.id}`);
    assert.equal(refused.status, 409);
    assert.match(refused.body.error, /web-00000000000a is in use: node one booted it at .*reboot the nodes/);
    assert.match((await ask('DELETE', `/v1/generations/${C.id}`)).body.error, /image web stands for it/);
    assert.deepEqual((await ask<WithdrawnAnswer>('POST', '/v1/prune', {})).body.withdrawn, []);
    assert.deepEqual(exported.sort(), [A.id, B.id, C.id]);
  });

  it('withdraws before anything is deleted: not exported, not published, and forgotten once it is gone', async () => {
    for (const each of [A, B, C]) await publish(each);
    const { body } = await ask<RetentionAnswer>('GET', '/v1/retention');
    assert.deepEqual(
      body.map(({ id, goes, reserve }) => [id, goes, reserve]),
      [
        [A.id, true, undefined],
        [B.id, false, 'to fall back to'],
        [C.id, false, undefined],
      ],
    );
    const other = (await ask<WithdrawnAnswer>('POST', '/v1/prune', { supersededOf: 'db' })).body;
    assert.deepEqual(other.withdrawn, []);
    const { withdrawn } = (await ask<WithdrawnAnswer>('POST', '/v1/prune', { supersededOf: 'web' })).body;
    assert.deepEqual(
      withdrawn.map(({ id }) => id),
      [A.id],
    );
    assert.deepEqual(exported.sort(), [B.id, C.id]);
    assert.match(
      (await publish(A)).body.error,
      /"web-00000000000a" is being removed\. Have that finished with netboot prune-images; then netboot build-image web/,
    );
    // Cut short there, the next one finishes it.
    assert.equal((await ask<WithdrawnAnswer>('POST', '/v1/prune', {})).body.withdrawn[0]?.id, A.id);
    assert.deepEqual((await ask('POST', '/v1/prune/deleted', { generations: [A.id] })).body, { deleted: [] });
    sealed = [B, C];
    const { body: done } = await ask('POST', '/v1/prune/deleted', { generations: [A.id] });
    assert.deepEqual(done, { deleted: [A.id] });
    assert.equal(fleet.events.since().at(-1)?.kind, 'pruned');
    // Built again, it is another one.
    sealed = [A, B, C];
    assert.equal((await publish(A)).status, 200);
  });

  it('takes one that is named although it is kept to fall back to', async () => {
    for (const each of [B, C]) await publish(each);
    assert.equal(
      (await ask<WithdrawnAnswer>('DELETE', `/v1/generations/${B.id}`)).body.withdrawn[0]?.id,
      B.id,
    );
    assert.equal((await rollback()).status, 409);
  });

  it('warns of what is damaged or gone, until it is there again', async () => {
    await publish(A);
    const standing = new Map<string, string>();
    const warnings = {
      raise: (id: string, text: string) => void standing.set(id, text),
      clear: (id: string) => void standing.delete(id),
    };
    const after = async (now: GenerationCheck, there: StoredGeneration[]) => {
      check = now;
      sealed = there;
      await fleet.inspectGenerations(warnings);
      return [...standing.keys()];
    };
    assert.deepEqual(await after({ isGone: false, faults: ['x is missing'] }, [A]), [
      'GENERATION_DAMAGED web',
    ]);
    assert.deepEqual(await after({ isGone: true, faults: [] }, []), ['GENERATION_GONE web']);
    assert.equal(fleet.view().gone?.get('web'), A.id);
    assert.deepEqual(await after({ isGone: false, faults: [] }, [A]), []);
    assert.equal(fleet.view().published.get('web')?.id, A.id);
  });

  it('warns of what a node runs when that is gone, until it boots something else', async () => {
    await publish(A);
    await fleet.addNode({ serial: PI, name: 'one', image: 'web' });
    boot('start4.elf', 'vmlinuz');
    await publish(B);
    const standing = new Map<string, string>();
    const warnings = {
      raise: (id: string, text: string) => void standing.set(id, text),
      clear: (id: string) => void standing.delete(id),
    };
    gone.add(A.id);
    await fleet.inspectGenerations(warnings);
    assert.match(
      standing.get(`GENERATION_RUNNING ${A.id}`) ?? '',
      /^web-00000000000a, which one booted, is gone from the disk/,
    );
    fleet.announce({ serial: PI, order: 1, xid: 7 });
    boot('start4.elf');
    await fleet.inspectGenerations(warnings);
    assert.deepEqual([...standing.keys()], []);
  });

  it('takes the progress of a build in its bounds', async () => {
    const post = async (body: object) => (await ask('POST', '/v1/images/web/progress', body)).status;
    const started = { step: 'web/packages', state: 'started', index: 1, of: 9 };
    assert.equal(await post(started), 204);
    assert.equal(await post({ ...started, state: 'stopped' }), 400);
    assert.equal(await post({ ...started, colour: 'red' }), 400);
    assert.equal(await post({ ...started, text: 'x'.repeat(4001) }), 400);
    assert.equal(await post({ ...started, text: 'x'.repeat(20_000) }), 413);
    assert.equal(fleet.events.since().length, 1);
  });

  it('sends a listener all that is remembered, however long', async () => {
    await api.listen({ host: '127.0.0.1', port: 0 });
    const { port } = api.server.address() as AddressInfo;
    const own = fleet.events.listeners;
    const failed = { kind: 'build progress', image: 'web', step: 's', state: 'failed' } as const;
    for (let count = 0; count < 1000; count++) fleet.events.tell({ ...failed, text: 'x'.repeat(4000) });
    const [response] = await once(request({ port, path: '/v1/events' }).end(), 'response');
    fleet.events.tell({ kind: 'pruned', generations: [] });
    let text = '';
    for await (const chunk of response) {
      text += chunk;
      if (text.includes('"pruned"')) break;
    }
    assert.equal(text.match(/^data: /gm)?.length, 1001);
    while (fleet.events.listeners > own) await new Promise((resolve) => setTimeout(resolve, 10));
  });

  it('streams events, and goes on where a listener was', async () => {
    await api.listen({ host: '127.0.0.1', port: 0 });
    const { port } = api.server.address() as AddressInfo;
    const own = fleet.events.listeners;
    const listen = async (headers: Record<string, string>, count: number) => {
      const call = request({ port, path: '/v1/events', headers }).end();
      const [response] = await once(call, 'response');
      assert.match(response.headers['content-type'], /^text\/event-stream/);
      let text = '';
      for await (const chunk of response) {
        text += chunk;
        if (text.split('\ndata: ').length > count) break;
      }
      const events = [...text.matchAll(/^id: (\S+)\ndata: (.*)$/gm)].map(([, id, data]) => ({
        id,
        event: JSON.parse(data as string) as ToldEvent,
      }));
      return events;
    };
    await publish(A);
    const coming = listen({}, 2);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await publish(B);
    const heard = await coming;
    assert.deepEqual(
      heard.map(({ event }) => event.kind === 'published' && event.generation),
      [A.id, B.id],
    );
    const again = await listen({ 'last-event-id': heard[0]?.id as string }, 1);
    assert.deepEqual(
      again.map(({ id }) => id),
      [heard[1]?.id],
    );
    while (fleet.events.listeners > own) await new Promise((resolve) => setTimeout(resolve, 10));
  });
});

describe('the events', () => {
  it('are the last thousand, and those of another run are no measure', () => {
    let now = 1000;
    const hub = new EventHub(() => now);
    for (let count = 0; count < 1500; count++) hub.tell({ kind: 'pruned', generations: [`${count}`] });
    assert.equal(hub.since().length, 1000);
    const last = hub.since().at(-1)?.id;
    assert.deepEqual(hub.since(last), []);
    assert.equal(hub.since(hub.since().at(-3)?.id).length, 2);
    now = 2000;
    const next = new EventHub(() => now);
    next.tell({ kind: 'pruned', generations: [] });
    assert.equal(next.since(last).length, 1);
    assert.equal(next.since('nonsense').length, 1);
    assert.equal(next.since(`${(2000).toString(36)}-99`).length, 1);
  });

  it('are not pushed out by how far a build is', () => {
    const hub = new EventHub(Date.now);
    hub.tell({ kind: 'pruned', generations: ['a'] });
    const progress = { kind: 'build progress', image: 'web', step: 'web/packages' } as const;
    for (let count = 0; count < 2000; count++) hub.tell({ ...progress, state: 'progress', text: 'x' });
    const heard = hub.since()[0]?.id;
    hub.tell({ ...progress, state: 'finished' });
    const kinds = (events: readonly ToldEvent[]) => events.map(({ kind }) => kind);
    assert.deepEqual(kinds(hub.since()), ['pruned', 'build progress']);
    assert.deepEqual(kinds(hub.since(heard)), ['build progress']);
  });

  it('reach the others although one listener fails', () => {
    const hub = new EventHub(Date.now);
    const heard: string[] = [];
    hub.listen(() => {
      throw new Error('gone');
    });
    hub.listen(({ kind }) => heard.push(kind));
    for (let count = 0; count < 2; count++) hub.tell({ kind: 'pruned', generations: [] });
    assert.deepEqual(heard, ['pruned', 'pruned']);
    assert.equal(hub.listeners, 1);
  });
});
