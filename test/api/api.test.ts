import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { describeStatus } from '../../src/api/describe.ts';
import type { BootKeyAnswer, NodeAnswer, NodesAnswer, Problem } from '../../src/api/schemas.ts';
import { buildApi } from '../../src/api/server.ts';
import { parseConfig } from '../../src/config.ts';
import { Fleet } from '../../src/fleet/fleet.ts';
import { resolveNetworks } from '../../src/fleet/networks.ts';
import { BootKeyFile } from '../../src/host/boot-key-file.ts';
import { silentLog } from '../../src/model/log.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import type { Serial } from '../../src/net/serial.ts';
import { openExporter } from '../../src/nfs/exporter.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';

const CONFIG = parseConfig('interfaces:\n  eth0:\n    dhcp: full\n    pool: 10.0.0.100-10.0.0.199\n', 'f');
const PRESENT = [{ interface: 'eth0', address: '10.0.0.1' as Ipv4, prefix: 24, mtu: 1500 }];

describe('the API', () => {
  let api: FastifyInstance;
  let fleet: Fleet;
  let folder: string;

  afterEach(() => rm(folder, { recursive: true }));

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'netboot-api-'));
    const exporter = await openExporter({
      kind: 'none',
      stateFolder: '/nowhere',
      exportsFolder: '/exports',
      generationsFolder: '/nowhere',
      run: async () => '',
      log: silentLog,
    });
    const ports = {
      store: new MemoryStore(),
      exporter,
      readGenerations: async () => ({ generations: [], problems: [] }),
      recipeNames: async () => ['web'],
      log: silentLog,
    };
    fleet = await Fleet.open(ports, CONFIG, resolveNetworks(CONFIG.interfaces, PRESENT));
    const service = {
      version: '1',
      startedAt: '2026-01-01T00:00:00Z',
      counters: { dhcp: {}, tftp: {} },
      tftp: { workers: 1, running: 0, waiting: 0, longestWaitMs: 0, bytesPerSecond: 0 },
    };
    const status = () =>
      describeStatus(fleet, exporter, service, { warnings: [], unwatched: [], isHeldBack: () => false }, 0);
    api = buildApi({
      fleet,
      exporter,
      status,
      log: pino({ level: 'silent' }),
      bootKeys: new BootKeyFile(join(folder, 'keys/boot.pem')),
      firmwareConfig: async () => ({ settings: [], steps: [] }),
    });
  });

  const ask = async <Answer>(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', url: string, payload?: object) => {
    const response = await api.inject({ method, url, ...(payload ? { payload } : {}) });
    return { status: response.statusCode, body: response.json<Answer>() };
  };

  it('shows the public half of the key alone, and makes it once', async () => {
    const first = await ask<BootKeyAnswer>('POST', '/v1/boot-key', {});
    assert.deepEqual([first.status, first.body.outcome], [200, 'made']);
    assert.deepEqual(Object.keys(first.body).sort(), ['fingerprint', 'made', 'outcome', 'publicKey']);
    const second = await ask<BootKeyAnswer>('POST', '/v1/boot-key', { replace: false });
    assert.deepEqual([second.body.outcome, second.body.publicKey], ['present', first.body.publicKey]);
    assert.equal((await ask('POST', '/v1/boot-key', { relace: true })).status, 400);
    assert.equal((await ask('GET', '/v1/boot-key')).status, 404);
  });

  it('tells what to flash into an EEPROM, of a node that is there', async () => {
    await ask('POST', '/v1/nodes', { serial: '9ffefdef' });
    assert.equal((await ask('GET', '/v1/nodes/9ffefdef/firmware-config?boot=http')).status, 200);
    assert.equal((await ask('GET', '/v1/nodes/9ffefdef/firmware-config?boot=floppy')).status, 400);
    assert.equal((await ask('GET', '/v1/nodes/nobody/firmware-config')).status, 409);
  });

  it('takes a prefix as an EEPROM keeps it, and no other', async () => {
    await ask('POST', '/v1/nodes', { serial: '9ffefdef' });
    const set = async (tftpPrefix: string | null) => {
      const { status, body } = await ask<NodeAnswer & Problem>('PATCH', '/v1/nodes/9ffefdef', { tftpPrefix });
      return status === 200 ? body.node.tftpPrefix : body.error;
    };
    assert.equal(await set('rack-1/pi_2/'), 'rack-1/pi_2/');
    for (const wrong of ['', 'no-slash', '/lead/', 'two//', '../', 'a/../b/', './', 'bl ank/', '\\'])
      assert.match((await set(wrong)) ?? '', /prefix/, wrong);
    assert.match((await set(`${'long'.repeat(10)}/`)) ?? '', /32 characters/);
    assert.match((await set('abcdef01/')) ?? '', /serial number or MAC/);
    assert.match((await set('dc-a6-32-01-36-c2/x/')) ?? '', /serial number or MAC/);
    assert.equal(await set(null), undefined);
  });

  it('adds a node in any form of its serial and tells its revision', async () => {
    const { status, body } = await ask<NodeAnswer>('POST', '/v1/nodes', {
      serial: '0x100000009FFEFDEF',
      name: 'one',
    });
    assert.equal(status, 201);
    assert.equal(body.node.serial, '9ffefdef');
    assert.deepEqual([body.node.state, body.node.isImageBuilt], ['off', false]);
    assert.equal(body.revision, fleet.view().revision);
  });

  it('finds, changes and removes a node by name or by serial', async () => {
    await ask('POST', '/v1/nodes', { serial: '9ffefdef', name: 'one', role: 'web' });
    assert.equal((await ask<NodeAnswer>('GET', '/v1/nodes/100000009ffefdef')).body.node.name, 'one');
    const changed = await ask<NodeAnswer>('PATCH', '/v1/nodes/one', { role: null, ip: '10.0.0.21' });
    assert.equal(changed.body.node.role, undefined);
    assert.equal(changed.body.node.ip, '10.0.0.21');
    assert.equal((await ask('DELETE', '/v1/nodes/9FFEFDEF')).status, 200);
    assert.equal((await ask('GET', '/v1/nodes/one')).status, 409);
  });

  const refused: Array<{ given: object; status: number; expect: RegExp }> = [
    {
      given: { serial: 'nonsense' },
      status: 400,
      expect: /is not a Raspberry Pi serial number.*for example/,
    },
    {
      given: { serial: '9ffefdef', ip: '10.0.0' },
      status: 400,
      expect: /"10\.0\.0" is not an IPv4 address; write it as/,
    },
    { given: { serial: '9ffefdef', mac: 'x' }, status: 400, expect: /not a MAC address; write it as/ },
    { given: { serial: '9ffefdef', name: 'Ä b' }, status: 400, expect: /name: a name has/ },
    { given: { serial: '9ffefdef', colour: 'red' }, status: 400, expect: /colour/ },
    { given: { serial: '9ffefdef', image: 'none' }, status: 409, expect: /no image "none"/ },
  ];
  for (const { given, status, expect } of refused) {
    it(`answers ${status} to ${JSON.stringify(given)}`, async () => {
      const answer = await ask<{ error: string }>('POST', '/v1/nodes', given);
      assert.equal(answer.status, status);
      assert.match(answer.body.error, expect);
    });
  }

  it('answers what is no JSON, and what is nowhere, in the same form', async () => {
    const headers = { 'content-type': 'application/json' };
    const broken = await api.inject({ method: 'POST', url: '/v1/nodes', headers, payload: '{' });
    assert.equal(broken.statusCode, 400);
    assert.match(broken.json<{ error: string }>().error, /JSON/);
    assert.equal((await ask('GET', '/v1/nothing')).status, 404);
  });

  it('lists a machine that asks and was not added as waiting, until it is', async () => {
    const seen = {
      mac: 'dc:a6:32:01:36:c2' as Mac,
      serial: '9ffefdef' as Serial,
      interface: 'eth0',
      at: 0,
      machine: 'Pi 4',
    };
    fleet.see(seen);
    const before = (await ask<NodesAnswer>('GET', '/v1/nodes')).body;
    assert.deepEqual(before.waiting, [
      {
        serial: '9ffefdef',
        mac: seen.mac,
        machine: 'Pi 4',
        interface: 'eth0',
        lastSeen: '1970-01-01T00:00:00.000Z',
      },
    ]);
    await ask('POST', '/v1/nodes', { serial: '9ffefdef' });
    const after = (await ask<NodesAnswer>('GET', '/v1/nodes')).body;
    assert.deepEqual(after.waiting, []);
    assert.equal(after.nodes[0]?.mac, seen.mac);
  });

  it('tells how the service is', async () => {
    const { body } = await ask<{ interfaces: unknown }>('GET', '/v1/status');
    assert.deepEqual(body.interfaces, [
      { interface: 'eth0', address: '10.0.0.1', subnet: '10.0.0.0/24', dhcp: 'full', isHeldBack: false },
    ]);
  });
});
