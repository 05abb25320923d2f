import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import type { Problem, RemovedAnswer, ResetAnswer } from '../../src/api/schemas.ts';
import { buildApi } from '../../src/api/server.ts';
import { parseConfig } from '../../src/config.ts';
import { Fleet } from '../../src/fleet/fleet.ts';
import { resolveNetworks } from '../../src/fleet/networks.ts';
import { silentLog } from '../../src/model/log.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import type { Export } from '../../src/nfs/export.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';

const CONFIG = parseConfig('interfaces:\n  eth0:\n    dhcp: full\n    pool: 10.0.0.100-10.0.0.199\n', 'f');
const PRESENT = [{ interface: 'eth0', address: '10.0.0.1' as Ipv4, prefix: 24, mtu: 1500 }];
const SERIAL = '9ffefdef';
const PATH = `/exports/private/${SERIAL}`;
const MAC = 'dc:a6:32:01:36:c2' as Mac;

describe('the disks that nodes write to, by the API', () => {
  let api: FastifyInstance;
  let fleet: Fleet;
  let applied: readonly Export[];
  let problem: string | undefined;

  beforeEach(async () => {
    applied = [];
    problem = undefined;
    const exporter = {
      kind: 'unit' as const,
      apply: async (desired: readonly Export[]) => {
        applied = desired;
      },
      state: () => ({ exports: applied.map((entry) => ({ ...entry, problem })) }),
      stop: async () => {},
    };
    const ports = {
      store: new MemoryStore(),
      exporter,
      readGenerations: async () => ({ generations: [], problems: [] }),
      recipeNames: async () => ['web'],
      log: silentLog,
    };
    fleet = await Fleet.open(ports, CONFIG, resolveNetworks(CONFIG.interfaces, PRESENT));
    api = buildApi({
      ...{ fleet, exporter, log: pino({ level: 'silent' }) },
      status: () => assert.fail(),
      bootKeys: { make: () => assert.fail(), current: () => assert.fail() },
      firmwareConfig: () => assert.fail(),
    });
    const block = { size: '64M', path: '/var/lib/containers' };
    await ask('POST', '/v1/nodes', { serial: SERIAL, mac: MAC, block });
    await exported();
  });

  const ask = async <Answer>(method: 'POST' | 'DELETE', url: string, payload?: object) => {
    const response = await api.inject({ method, url, ...(payload ? { payload } : {}) });
    return { status: response.statusCode, body: response.json<Answer>() };
  };
  /** The exports follow soon. */
  const exported = async (): Promise<Export | undefined> => {
    await new Promise((resolve) => setTimeout(resolve, 150));
    return applied.find(({ path }) => path === PATH);
  };
  const lease = (address: string, mac = MAC) =>
    fleet.leases.commit([
      {
        kind: 'put',
        lease: {
          ...{ address: address as Ipv4, mac, interface: 'eth0' },
          ...{ state: 'bound' as const, expiresAt: Date.now() + 60_000 },
        },
      },
    ]);

  it('are exported to where the node is, and follow it', async () => {
    assert.deepEqual((await exported())?.clients, []);
    await lease('10.0.0.100');
    assert.deepEqual((await exported())?.clients, ['10.0.0.100/32']);
    await lease('10.0.0.101');
    assert.deepEqual((await exported())?.clients, ['10.0.0.101/32']);
    fleet.pin(fleet.find(SERIAL), 'config.txt', '10.0.0.150' as Ipv4);
    assert.deepEqual((await exported())?.clients, ['10.0.0.101/32'], 'who asks in its name moves nothing');
  });

  it('are made anew on demand', async () => {
    const { status, body } = await ask<ResetAnswer>('POST', `/v1/nodes/${SERIAL}/reset-private`, {});
    assert.deepEqual(
      [status, body],
      [200, { serial: SERIAL, name: `pi-${SERIAL}`, path: PATH, disks: ['block.ext4'] }],
    );
    assert.ok((applied.find(({ path }) => path === PATH)?.area?.epoch ?? 0) > 0);
  });

  it('are not while the node may run, unless that is wanted', async () => {
    fleet.conditions.asked(SERIAL as never);
    const refused = await ask<Problem>('POST', `/v1/nodes/${SERIAL}/reset-private`, {});
    assert.equal(refused.status, 409);
    assert.match(JSON.stringify(refused.body), /may be writing to its disk \(asked\).*--force/);
    const forced = await ask('POST', `/v1/nodes/${SERIAL}/reset-private`, { force: true });
    assert.equal(forced.status, 200);
  });

  it('tell what hinders them', async () => {
    problem = 'the disk of /exports is full';
    const { status, body } = await ask<Problem>('POST', `/v1/nodes/${SERIAL}/reset-private`, {});
    assert.equal(status, 409);
    assert.match(JSON.stringify(body), /could not be made anew: the disk of \/exports is full/);
    assert.equal((await ask('POST', '/v1/nodes/nobody/reset-private', {})).status, 409);
    assert.equal((await ask('POST', `/v1/nodes/${SERIAL}/reset-private`, { now: true })).status, 400);
  });

  it('are not taken from a node that may run by its removal, unless that is wanted', async () => {
    fleet.conditions.asked(SERIAL as never);
    const refused = await ask<Problem>('DELETE', `/v1/nodes/${SERIAL}`);
    assert.equal(refused.status, 409);
    assert.match(refused.body.error, /may be writing to its disk \(asked\).*remove-node 9ffefdef --force/);
    assert.ok(await exported());
    assert.equal((await ask('DELETE', `/v1/nodes/${SERIAL}?force=perhaps`)).status, 400);
    assert.equal((await ask('DELETE', `/v1/nodes/${SERIAL}?force=true`)).status, 200);
  });

  it('stay when the node is removed, which is told, and are exported no more', async () => {
    await lease('10.0.0.100');
    const { body } = await ask<RemovedAnswer>('DELETE', `/v1/nodes/${SERIAL}`);
    assert.equal(body.kept, PATH);
    assert.equal(await exported(), undefined);
  });
});
