import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import Fastify from 'fastify';
import { describeImages } from '../../src/api/describe.ts';
import { addImageRoutes, type GenerationAnswer } from '../../src/api/image-routes.ts';
import { installProblems } from '../../src/api/problems.ts';
import type { ImageStatus } from '../../src/api/schemas.ts';
import { parseConfig } from '../../src/config.ts';
import { Fleet } from '../../src/fleet/fleet.ts';
import { resolveNetworks } from '../../src/fleet/networks.ts';
import { readGenerations } from '../../src/imaging/generation/generations.ts';
import { silentLog } from '../../src/model/log.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Serial } from '../../src/net/serial.ts';
import { openExporter } from '../../src/nfs/exporter.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';

const CONFIG = parseConfig('interfaces:\n  eth0:\n    dhcp: full\n    pool: 10.0.0.100-10.0.0.199\n', 'f');
const PRESENT = [{ interface: 'eth0', address: '10.0.0.1' as Ipv4, prefix: 24, mtu: 1500 }];

const manifest = (id: string, sealedAt: string) => ({
  id,
  image: 'web',
  arch: 'arm64',
  sealedAt,
  recipeKey: 'a'.repeat(64),
  root: { size: 4, sha256: 'b'.repeat(64) },
  boot: { kernel: 'k', config: [], cmdline: [], files: { k: { size: 10, sha256: 'c'.repeat(64) } } },
  roles: {},
  packages: {},
});
const [OLD, NEW] = ['web-000000000001', 'web-000000000002'];

async function service(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'netboot-images-'));
  t.after(() => rm(folder, { recursive: true }));
  for (const [id, sealedAt] of [
    [OLD, '2026-11-20T10:00:00.000Z'],
    [NEW, '2026-11-21T10:00:00.000Z'],
  ] as const) {
    await mkdir(join(folder, id));
    await writeFile(join(folder, id, 'root.squashfs'), 'root');
    await writeFile(join(folder, id, 'build.log'), `log of ${id}\n`);
    await writeFile(join(folder, id, 'manifest.json'), JSON.stringify(manifest(id, sealedAt)));
  }
  await writeFile(join(folder, NEW, 'sbom.cdx.json'), '{}');
  const exporter = await openExporter({
    kind: 'none',
    stateFolder: '/nowhere',
    exportsFolder: '/exports',
    generationsFolder: folder,
    run: async () => '',
    log: silentLog,
  });
  const ports = {
    store: new MemoryStore(),
    exporter,
    readGenerations: () => readGenerations(folder),
    recipeNames: async () => ['web', 'pc'],
    log: silentLog,
  };
  const fleet = await Fleet.open(ports, CONFIG, resolveNetworks(CONFIG.interfaces, PRESENT));
  const api = Fastify();
  installProblems(api);
  addImageRoutes(api, { fleet, fetchedBytes: () => ({ pi4: 7 }) });
  const get = async (url: string) => {
    const response = await api.inject({ method: 'GET', url: `/v1/generations/${url}` });
    return { status: response.statusCode, text: response.body, headers: response.headers };
  };
  return { fleet, get };
}

describe('sealed generations over the API', () => {
  it('are found by image or by id, with what they are to the fleet', async (t) => {
    const { fleet, get } = await service(t);
    await fleet.publish('web', NEW);
    await fleet.addNode({ serial: '9ffefdef' as Serial, name: 'one', image: 'web' });
    const answer = JSON.parse((await get('web')).text) as GenerationAnswer;
    const { generation, ...rest } = answer;
    assert.deepEqual(generation, manifest(NEW, '2026-11-21T10:00:00.000Z'));
    assert.deepEqual(rest, {
      isPublished: true,
      nodes: ['one'],
      bootBytes: 10,
      has: ['log', 'sbom'],
      fetched: { pi4: 7 },
    });
    const old = JSON.parse((await get(OLD)).text) as GenerationAnswer;
    assert.deepEqual([old.isPublished, old.nodes, old.has], [false, [], ['log']]);
  });

  it('give their files, whatever the user may read', async (t) => {
    const { get } = await service(t);
    const log = await get(`${NEW}/log`);
    assert.deepEqual([log.status, log.text], [200, `log of ${NEW}\n`]);
    assert.match(String((await get(`${NEW}/sbom`)).headers['content-type']), /cyclonedx\+json/);
  });

  const refused: ReadonlyArray<{ url: string; status: number; says: RegExp }> = [
    { url: 'web', status: 409, says: /Nothing is published of image .*web-000000000001, web-000000000002/ },
    { url: 'nobody', status: 409, says: /no image and no generation/ },
    { url: `${OLD}/sbom`, status: 409, says: /has no sbom\.cdx\.json.*build the image again/ },
    { url: `${OLD}/manifest.json`, status: 404, says: /There is nothing at/ },
    { url: `${OLD}/..%2f..%2fetc%2fpasswd`, status: 404, says: /There is nothing at/ },
    { url: '..%2f..', status: 409, says: /no image and no generation/ },
    { url: `${OLD}/constructor`, status: 404, says: /There is nothing at/ },
  ];
  for (const { url, status, says } of refused) {
    it(`refuse ${url} in words`, async (t) => {
      const { get } = await service(t);
      const answer = await get(url);
      assert.equal(answer.status, status);
      assert.match(answer.text, says);
    });
  }

  it('are listed by image, with the reason why each stays', async (t) => {
    const { fleet } = await service(t);
    await fleet.publish('web', OLD);
    await fleet.publish('web', NEW);
    const images: ImageStatus[] = await describeImages(fleet);
    const web = images.find(({ image }) => image === 'web');
    assert.deepEqual([web?.generation, web?.sealed], [NEW, [NEW, OLD]]);
    assert.deepEqual(
      web?.others.map(({ id, kept }) => [id, kept]),
      [[OLD, ['to fall back to']]],
    );
    assert.equal(images.find(({ image }) => image === 'pc')?.generation, undefined);
  });
});
