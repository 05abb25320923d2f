import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import Fastify, { type FastifyInstance } from 'fastify';
import type { RolloutStatus } from '../../src/api/schemas.ts';

const NETBOOT = join(import.meta.dirname, '../../scripts/netboot');

const RUNNING: RolloutStatus = {
  id: 'web.1',
  image: 'web',
  target: 'web-000000000002',
  base: 'web-000000000001',
  canary: 1,
  batch: 1,
  withinSeconds: 300,
  atNextBoot: false,
  state: 'running',
  startedAt: '2026-01-01T00:00:00Z',
  estimatedEnd: '2026-01-01T00:10:00Z',
  counts: { waiting: 1, told: 0, done: 1, failed: 0, skipped: 0, left: 0 },
  nodes: [],
};

describe('netboot rollout', () => {
  let folder: string;
  let service: FastifyInstance;
  let answers: RolloutStatus[] = [];
  const netboot = async (...args: string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)(NETBOOT, [
      '--config',
      join(folder, 'netboot.yaml'),
      'rollout',
      ...args,
    ]);
    return stdout;
  };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'netboot-rollout-cli-'));
    const text = `interfaces: { eth0: { dhcp: proxy } }\napi: { socket: ${folder}/api.sock }\n`;
    await writeFile(join(folder, 'netboot.yaml'), text);
    service = Fastify({ forceCloseConnections: true });
    service.get('/v1/rollouts/web', () => (answers.length > 1 ? answers.shift() : answers[0]));
    await service.listen({ path: join(folder, 'api.sock') });
  });
  after(async () => {
    await service?.close();
    await rm(folder, { recursive: true });
  });

  it('status --watch tells each change but that of the estimate, also beyond a pause', async () => {
    answers = [
      RUNNING,
      { ...RUNNING, estimatedEnd: '2026-01-01T00:11:00Z' },
      { ...RUNNING, heldUp: 'no space left' },
      { ...RUNNING, state: 'paused', estimatedEnd: undefined },
      { ...RUNNING, state: 'finished', endedAt: '2026-01-01T00:12:00Z' },
    ];
    const said = await netboot('status', 'web', '--watch');
    assert.deepEqual(
      said.split('\n').filter((line) => /^rollout|held up/.test(line)),
      [
        'rollout web.1: running, over at about 2026-01-01T00:10:00Z',
        'rollout web.1: running, over at about 2026-01-01T00:10:00Z',
        '  held up: no space left',
        'rollout web.1: paused',
        'rollout web.1: finished, over since 2026-01-01T00:12:00Z',
      ],
    );
  });

  it('--help tells that start need not be said', async () => {
    assert.match(await netboot('--help'), /"netboot rollout IMAGE …" is "netboot rollout start IMAGE …"/);
  });
});
