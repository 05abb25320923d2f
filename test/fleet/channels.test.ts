import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Channels } from '../../src/fleet/channels.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { sampleGeneration } from '../boot/sample-view.ts';

test('what is published later is of a later time, whatever the clock says (checklist 55)', async (t) => {
  const store = new MemoryStore();
  const channels = new Channels(store);
  const [one, two] = ['web-000000000001', 'web-000000000002'].map((id) => ({
    ...sampleGeneration('web', {}, `/${id}`),
    id,
  }));
  assert.ok(one && two);
  channels.know([one, two]);
  const times: number[] = [];
  const publishAt = async (generation: typeof one, now: number) => {
    t.mock.timers.enable({ apis: ['Date'], now: now * 1000 });
    await channels.publish(generation);
    t.mock.timers.reset();
    times.push(channels.publishedAt('web'));
  };
  await publishAt(one, 2_000_000_000);
  await publishAt(one, 2_000_000_500); // nothing new: boot.sig stays as it is
  await publishAt(two, 2_000_001_000);
  await publishAt(one, 1_000_000_000); // an appliance without a battery for its clock
  await publishAt(two, 1_000_000_100);
  assert.deepEqual(times, [2_000_000_000, 2_000_000_000, 2_000_001_000, 2_000_001_001, 2_000_001_002]);
  const again = new Channels(store);
  again.know([one, two]);
  assert.equal(again.publishedAt('web'), 2_000_001_002);
});

test('of what was published before times were kept, it is the time of the sealing', async () => {
  const store = new MemoryStore();
  const generation = sampleGeneration('web', {}, '/web');
  await store.transact({
    writes: [{ kind: 'put', key: 'channel/web', value: { generation: generation.id, previous: [] } }],
  });
  const channels = new Channels(store);
  channels.know([generation]);
  assert.equal(channels.publishedAt('web'), Date.parse(generation.sealedAt) / 1000);
});
