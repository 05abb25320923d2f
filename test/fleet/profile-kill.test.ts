import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeFile } from '../../src/model/node-file.ts';
import { SqliteStore } from '../../src/store/sqlite-store.ts';
import { openSmallFleet } from './small-fleet.ts';

const WRITER = join(import.meta.dirname, 'profile-writer.ts');

const numberIn = (file: NodeFile | undefined) =>
  Number.parseInt(Buffer.from(file?.content ?? '', 'base64').toString(), 10);

describe('profiles, nodes and files under kill -9', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'netboot-kill-'));
  });
  after(() => rm(folder, { recursive: true }));

  for (const round of [1, 2]) {
    it(`are of one moment, and nothing that was acknowledged is lost (${round})`, async () => {
      const file = join(folder, 'state.db');
      const writer = spawn(process.execPath, [WRITER, file], { stdio: ['ignore', 'pipe', 'inherit'] });
      let printed = '';
      writer.stdout.setEncoding('utf8').on('data', (text: string) => {
        printed += text;
      });
      await once(writer.stdout, 'data');
      await sleep(50 + Math.random() * 100);
      writer.kill('SIGKILL');
      await once(writer, 'close');
      const acknowledged = Number(printed.trimEnd().split('\n').at(-1));

      const store = new SqliteStore(file);
      const fleet = await openSmallFleet({ store });
      const memory = Number.parseInt(fleet.profiles.find('rack').settings.memory ?? '', 10);
      const shared = fleet.files.ofOwner({ kind: 'profile', name: 'rack' });
      assert.ok(acknowledged >= 2 && memory >= acknowledged, `${memory} of ${acknowledged}`);
      assert.deepEqual(
        shared.map(({ path }) => path),
        ['/etc/app/key'],
      );
      for (const node of fleet.view().nodes.values()) {
        const [key, own] = fleet.filesOf(node);
        assert.equal(numberIn(key), memory, 'the profile and its file are of one transaction');
        assert.equal(node.memory, `${memory}M`);
        assert.equal(numberIn(own), Number(node.outlet), 'the node and its file are of one transaction');
      }
      const owners = store.list('file/node/').map(({ key }) => key.split('/')[2]);
      assert.deepEqual(owners.sort(), [...fleet.view().nodes.keys()].sort(), 'no file without its node');
      store.close();
    });
  }
});
