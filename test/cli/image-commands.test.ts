import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import Fastify, { type FastifyInstance } from 'fastify';
import { addImageRoutes } from '../../src/api/image-routes.ts';
import { installProblems } from '../../src/api/problems.ts';
import { addPublishRoutes } from '../../src/api/publish-routes.ts';
import { parseConfig } from '../../src/config.ts';
import { Fleet } from '../../src/fleet/fleet.ts';
import { resolveNetworks } from '../../src/fleet/networks.ts';
import { readGenerations } from '../../src/imaging/generation/generations.ts';
import { LISTING, type ListedFile, packListing } from '../../src/imaging/generation/listing.ts';
import { silentLog } from '../../src/model/log.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import { openExporter } from '../../src/nfs/exporter.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';

const NETBOOT = join(import.meta.dirname, '../../scripts/netboot');
const PRESENT = [{ interface: 'eth0', address: '10.0.0.1' as Ipv4, prefix: 24, mtu: 1500 }];
const [OLD, NEW] = ['web-000000000001', 'web-000000000002'];

/** The command line as a process of its own, and the API it talks to. */
describe('the commands for sealed generations', () => {
  let folder: string;
  let config: string;
  let api: FastifyInstance;

  const seal = async (id: string, nginx: string, files: readonly ListedFile[]) => {
    const manifest = {
      id,
      image: 'web',
      arch: 'arm64',
      sealedAt: '2026-11-21T10:00:00.000Z',
      recipeKey: 'a'.repeat(64),
      root: { size: 4, sha256: 'b'.repeat(64) },
      boot: { kernel: 'k', config: [], cmdline: [], files: { k: { size: 10, sha256: 'c'.repeat(64) } } },
      roles: {},
      packages: { nginx },
    };
    await mkdir(join(folder, 'generations', id), { recursive: true });
    const write = (name: string, data: string | Uint8Array) =>
      writeFile(join(folder, 'generations', id, name), data);
    await write('root.squashfs', 'root');
    await write('build.log', `log of ${id}\n`);
    await write('manifest.json', JSON.stringify(manifest));
    await write(LISTING, packListing(files));
  };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'netboot-commands-'));
    const file = { path: 'etc/motd', type: 'f', mode: '644', uid: 0, gid: 0, size: 5 };
    await seal(OLD, '1.26', [{ ...file, sha256: '1' }]);
    await seal(NEW, '1.28', [{ ...file, sha256: '2' }]);
    config = join(folder, 'netboot.yaml');
    const text = `interfaces: { eth0: { dhcp: proxy } }\napi: { socket: ${folder}/api.sock }\n`;
    await writeFile(config, text);
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
      readGenerations: () => readGenerations(join(folder, 'generations')),
      recipeNames: async () => ['web'],
      log: silentLog,
    };
    const parsed = parseConfig(text, config);
    const fleet = await Fleet.open(ports, parsed, resolveNetworks(parsed.interfaces, PRESENT));
    await fleet.publish('web', OLD);
    await fleet.publish('web', NEW);
    api = Fastify();
    installProblems(api);
    addImageRoutes(api, { fleet });
    addPublishRoutes(api, fleet);
    await api.listen({ path: join(folder, 'api.sock') });
  });

  after(async () => {
    await api?.close();
    await rm(folder, { recursive: true });
  });

  const netboot = async (...args: string[]) => {
    const answer = promisify(execFile)(NETBOOT, ['--config', config, ...args]);
    return answer.then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      (error: { code: number; stdout: string; stderr: string }) => error,
    );
  };

  it('show-image prints the file that is asked for, and nothing else', async () => {
    const { code, stdout, stderr } = await netboot('show-image', 'web', '--log');
    assert.deepEqual([code, stdout, stderr], [0, `log of ${NEW}\n`, '']);
  });

  it('diff-image compares by image and by id', async () => {
    const { stdout } = await netboot('diff-image', OLD, 'web');
    assert.match(stdout, /~ nginx 1\.26 → 1\.28/);
    assert.match(stdout, /~ etc\/motd: content/);
    const { files } = JSON.parse((await netboot('diff-image', OLD, 'web', '--json')).stdout);
    assert.equal(files.changed.length, 1);
  });

  it('prune-images --dry-run tells what becomes of the one that is named', async () => {
    const all = await netboot('prune-images', '--dry-run');
    assert.match(all.stdout, /web-000000000001 +web +stays +to fall back to\n.*web-000000000002 +web +stays/);
    const { stdout } = await netboot('prune-images', OLD, '--dry-run');
    assert.match(stdout, /web-000000000001 +web +goes/);
    assert.doesNotMatch(stdout, /web-000000000002/);
  });

  it('is content when nobody reads all that it prints', async () => {
    const child = spawn(NETBOOT, ['--config', config, 'show-image', 'web', '--json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.destroy();
    let stderr = '';
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    const [code] = await once(child, 'close');
    assert.deepEqual([code, stderr], [0, '']);
  });

  const wrong: ReadonlyArray<{ args: readonly string[]; code: number; says: RegExp }> = [
    {
      args: ['show-image', 'nobody'],
      code: 1,
      says: /^netboot: There is no image and no generation "nobody"/,
    },
    {
      args: ['show-image', OLD, '--sbom'],
      code: 1,
      says: /^netboot: web-000000000001 has no sbom\.cdx\.json/,
    },
    { args: ['prune-images', 'web-9', '--dry-run'], code: 1, says: /There is no generation "web-9"/ },
    { args: ['diff-image', OLD], code: 2, says: /missing required argument 'to'/ },
    {
      args: ['build-image', 'web', '--dry-run', '--locked', '--update'],
      code: 1,
      says: /contradict each other/,
    },
    {
      args: ['build-image', 'web', '--dry-run', '--set', 'port'],
      code: 1,
      says: /"--set port" sets nothing/,
    },
    {
      args: ['build-image', '--dry-run', '--locked', 'web'],
      code: 1,
      says: /The lock ".*\/web\/image\.lock" cannot be read/,
    },
    {
      args: ['build-image', '--dry-run', '--set', 'a=1', 'web', '--lock', '/nonexistent/lock'],
      code: 1,
      says: /The lock "\/nonexistent\/lock" cannot be read .*show-image web --lock/,
    },
  ];
  for (const { args, code, says } of wrong) {
    it(`${args.join(' ')}: ends with ${code} and says why`, async () => {
      const answer = await netboot(...args);
      assert.equal(answer.code, code);
      assert.match(answer.stderr, says);
      assert.equal(answer.stdout, '');
    });
  }

  it('rollback-image prints what the service answers, for scripts', async () => {
    const { generation, before } = JSON.parse((await netboot('rollback-image', 'web', '--json')).stdout);
    assert.deepEqual([generation, before], [OLD, NEW]);
  });
});
