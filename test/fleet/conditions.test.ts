import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BootPayloads } from '../../src/fleet/boot-payload.ts';
import { Conditions, stateKey } from '../../src/fleet/conditions.ts';
import { EventHub } from '../../src/fleet/events.ts';
import type { StoredGeneration } from '../../src/model/generation.ts';
import { silentLog } from '../../src/model/log.ts';
import type { Report } from '../../src/model/report.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { sampleGeneration } from '../boot/sample-view.ts';

const SERIAL = parseSerial('9ffefdef');
const STRANGER = parseSerial('b66c4c16');
const FILES = { 'start4.elf': 2_000_000, vmlinuz: 9_000_000, 'initrd.img': 3_000_000 };
const GENERATION: StoredGeneration = { ...sampleGeneration('web', FILES, '/web'), provides: ['reports'] };
const OLD: StoredGeneration = sampleGeneration('web', FILES, '/old');
const REPORT: Report = {
  generation: GENERATION.id,
  root: 'readonly',
  uptime: 60,
  clock: 0,
  state: 'running',
  failed: [],
  target: 'web-cluster-node.target',
};
const SECOND = 1000;
const MINUTE = 60 * SECOND;

interface Settings {
  generation?: StoredGeneration;
  startedAt?: number;
  role?: string;
}

function world(store = new MemoryStore(), settings: Settings = {}) {
  const { generation = GENERATION, startedAt = 0 } = settings;
  let elapsed = 0;
  let ahead = 0;
  const now = () => startedAt + elapsed + ahead;
  const events = new EventHub(now);
  const payloads = new BootPayloads(() => ({ 'Pi 4B': 14_000_000 }));
  const conditions = new Conditions({
    store,
    log: silentLog,
    events,
    node: (serial) => (serial === SERIAL ? { name: 'one', role: settings.role } : undefined),
    given: () => ({ id: generation.id, generation }),
    payload: (_, each) => payloads.of(each, 'Pi 4'),
    now,
    elapsed: () => elapsed,
  });
  return {
    store,
    conditions,
    pass: (milliseconds: number) => {
      elapsed += milliseconds;
      conditions.tick();
    },
    setClock: (by: number) => {
      ahead += by;
    },
    state: () => conditions.of(SERIAL).state,
    told: () =>
      events
        .since()
        .flatMap((event) => (event.kind === 'node state' ? [`${event.before} → ${event.state}`] : [])),
  };
}

function boot({ conditions }: ReturnType<typeof world>, generation = GENERATION): void {
  conditions.asked(SERIAL);
  conditions.begun(SERIAL, generation);
  conditions.served(SERIAL, 'start4.elf', FILES['start4.elf']);
  conditions.kernel(SERIAL);
  conditions.mounted(SERIAL);
  conditions.reported(SERIAL, REPORT);
}

describe('the conditions of nodes', () => {
  it('are told, each change once, with its time', () => {
    const one = world();
    boot(one);
    one.conditions.reported(SERIAL, REPORT);
    one.pass(149 * SECOND);
    one.pass(SECOND);
    one.pass(SECOND);
    assert.deepEqual(one.told(), [
      'off → asked',
      'asked → loading',
      'loading → kernel',
      'kernel → root mounted',
      'root mounted → up',
      'up → silent',
    ]);
    assert.equal(one.conditions.of(SERIAL).since, 150 * SECOND);
  });

  it('tell of another fault of a node that is unhealthy already', () => {
    const one = world();
    boot(one);
    for (const unit of ['nginx.service', 'nginx.service', 'ssh.service'])
      one.conditions.reported(SERIAL, { ...REPORT, state: 'degraded', failed: [unit] });
    assert.deepEqual(one.told().slice(-2), ['up → unhealthy', 'unhealthy → unhealthy']);
    assert.equal(one.conditions.of(SERIAL).detail, 'ssh.service failed');
  });

  it('know of a system that may run, whatever is fetched in its name', () => {
    const one = world();
    const { conditions } = one;
    const mayRun = () => conditions.mayRun(SERIAL);
    assert.equal(mayRun(), false);
    conditions.begun(SERIAL, GENERATION);
    conditions.kernel(SERIAL);
    assert.equal(mayRun(), false, 'its root is not mounted');
    conditions.mounted(SERIAL);
    assert.equal(mayRun(), true);
    one.pass(20 * MINUTE);
    assert.equal(mayRun(), true, 'who has never reported is not missed');
    conditions.reported(SERIAL, REPORT);
    conditions.begun(SERIAL, GENERATION);
    conditions.kernel(SERIAL);
    assert.deepEqual([one.state(), mayRun()], ['kernel', true], 'some program of it read its files');
    one.pass(150 * SECOND);
    assert.equal(mayRun(), false, 'it has fallen silent');
    conditions.reported(SERIAL, REPORT);
    conditions.reported(SERIAL, { ...REPORT, state: 'stopping' });
    assert.equal(mayRun(), false);
    conditions.reported(SERIAL, REPORT);
    conditions.switched(SERIAL, 'given');
    assert.equal(mayRun(), true);
    conditions.switched(SERIAL, 'cut');
    assert.equal(mayRun(), false);
  });

  it('know of it after a restart of the service, too', async () => {
    const one = world();
    boot(one);
    await one.conditions.stop();
    assert.equal(world(one.store).conditions.mayRun(SERIAL), true);
    one.conditions.reported(SERIAL, { ...REPORT, state: 'stopping' });
    await one.conditions.stop();
    assert.equal(world(one.store).conditions.mayRun(SERIAL), false);
  });

  it('count each file once, of what is in the generation, up to what the board fetches', () => {
    const { conditions } = world();
    conditions.begun(SERIAL, GENERATION);
    conditions.served(SERIAL, 'config.txt', 900);
    conditions.served(SERIAL, 'start4.elf', 1000);
    conditions.served(SERIAL, 'start4.elf', 2_000_000);
    conditions.served(SERIAL, 'initrd.img', 3_000_000);
    const { state, bytes, ofBytes } = conditions.of(SERIAL);
    assert.deepEqual([state, bytes, ofBytes], ['loading', 5_000_000, 14_000_000]);
    conditions.begun(SERIAL, GENERATION);
    assert.equal(conditions.of(SERIAL).bytes, 0, 'another boot');
    conditions.served(SERIAL, 'boot.img', 40_000_000);
    assert.equal(conditions.of(SERIAL).ofBytes, undefined, 'one file with all in it');
  });

  it('say at which file a boot stopped, and go on when it does', () => {
    const one = world();
    one.conditions.begun(SERIAL, GENERATION);
    one.conditions.served(SERIAL, 'start4.elf', 2_000_000);
    one.pass(4 * MINUTE);
    one.conditions.served(SERIAL, 'initrd.img', 100);
    one.pass(4 * MINUTE);
    assert.equal(one.state(), 'loading');
    one.pass(MINUTE);
    assert.equal(one.conditions.of(SERIAL).detail, 'stopped loading at initrd.img');
    one.conditions.kernel(SERIAL);
    assert.equal(one.state(), 'kernel');
  });

  it('of a generation that does not report end at the mounted root', () => {
    const one = world(undefined, { generation: OLD });
    one.conditions.begun(SERIAL, OLD);
    one.conditions.kernel(SERIAL);
    assert.deepEqual([...one.conditions.awaitingRoot().keys()], [SERIAL]);
    one.conditions.mounted(SERIAL);
    assert.equal(one.conditions.awaitingRoot().size, 0);
    one.pass(60 * MINUTE);
    assert.equal(one.state(), 'root mounted');
  });

  it('hold a report against what was given: another generation, a target that is not active', () => {
    const one = world(undefined, { role: 'web' });
    boot(one);
    one.conditions.reported(SERIAL, { ...REPORT, generation: 'web-ffffffffffff' });
    assert.match(one.conditions.of(SERIAL).detail ?? '', /it runs web-f{12}, and was given web-0123456789ab/);
    one.conditions.reported(SERIAL, { ...REPORT, target: undefined });
    assert.equal(one.conditions.of(SERIAL).detail, 'web-cluster-node.target is not active');
    one.conditions.reported(SERIAL, REPORT);
    assert.equal(one.state(), 'up');
  });

  it('hold nothing against a node that it learns at its next boot', () => {
    const settings: Settings = {};
    const one = world(undefined, settings);
    boot(one);
    settings.role = 'web';
    one.conditions.reported(SERIAL, { ...REPORT, target: undefined });
    assert.equal(one.state(), 'up');
    boot(one);
    one.conditions.reported(SERIAL, { ...REPORT, target: undefined });
    assert.equal(one.state(), 'unhealthy');
  });

  it('know nothing of a machine that is no node', async () => {
    const { conditions, store, told } = world();
    conditions.asked(STRANGER);
    conditions.begun(STRANGER, GENERATION);
    conditions.reported(STRANGER, REPORT);
    await conditions.stop();
    assert.deepEqual([told(), store.list('state/'), conditions.of(STRANGER).state], [[], [], 'off']);
  });

  it('are written together, and only when they change', async () => {
    const one = world();
    boot(one);
    one.conditions.reported(SERIAL, REPORT);
    assert.equal(one.store.revision(), 0, 'nobody waits for it');
    await one.conditions.stop();
    assert.equal(one.store.revision(), 1);
    one.conditions.reported(SERIAL, { ...REPORT, uptime: 120 });
    await one.conditions.stop();
    assert.equal(one.store.revision(), 1);
    assert.deepEqual(one.store.get(stateKey(SERIAL))?.value, { state: 'up', since: 0, hasReported: true });
  });

  it('are written by themselves, too', async () => {
    const one = world();
    one.conditions.asked(SERIAL);
    await new Promise((resolve) => setTimeout(resolve, 600));
    assert.deepEqual(one.store.get(stateKey(SERIAL))?.value, { state: 'asked', since: 0 });
  });

  it('of one that is up and starts a job do not change with the clock', () => {
    const one = world();
    boot(one);
    one.setClock(60 * MINUTE);
    one.conditions.reported(SERIAL, { ...REPORT, state: 'starting', uptime: 90 });
    one.pass(SECOND);
    assert.equal(one.state(), 'up');
  });

  it('know a boot that nobody saw by an uptime that is less than the time since it is up', async () => {
    const first = world();
    boot(first);
    first.pass(2 * MINUTE);
    await first.conditions.stop();
    for (const one of [first, world(first.store, { startedAt: 2 * MINUTE })]) {
      one.conditions.reported(SERIAL, { ...REPORT, state: 'starting', uptime: 8 });
      assert.equal(one.state(), 'root mounted');
    }
  });

  const restarts: Array<{
    name: string;
    before: (one: ReturnType<typeof world>) => void;
    after: number;
    expect: string;
  }> = [
    { name: 'who was up is up', before: boot, after: 0, expect: 'up' },
    { name: 'who was up has time to report', before: boot, after: 149 * SECOND, expect: 'up' },
    { name: 'who was up and does not report is silent', before: boot, after: 150 * SECOND, expect: 'silent' },
    {
      name: 'who had got its kernel has the rest of its time',
      before: ({ conditions }) => conditions.kernel(SERIAL),
      after: 3 * MINUTE,
      expect: 'unhealthy',
    },
    {
      name: 'who was loading has time for the next file',
      before: ({ conditions }) => conditions.begun(SERIAL, GENERATION),
      after: 4 * MINUTE,
      expect: 'loading',
    },
  ];
  for (const { name, before, after, expect } of restarts) {
    it(`survive a restart: ${name}`, async () => {
      const first = world(undefined, { startedAt: 7 * MINUTE });
      before(first);
      await first.conditions.stop();
      const second = world(first.store, { startedAt: 15 * MINUTE });
      assert.equal(second.state(), first.state());
      assert.equal(second.conditions.of(SERIAL).since, 7 * MINUTE);
      second.pass(after);
      assert.equal(second.state(), expect);
    });
  }

  it('pass over what is stored and not understood, and of nodes that are gone', async () => {
    const store = new MemoryStore();
    await store.transact({
      writes: [
        { kind: 'put', key: stateKey(SERIAL), value: { state: 'dancing', since: 0 } },
        { kind: 'put', key: stateKey(STRANGER), value: { state: 'up', since: 0 } },
      ],
    });
    const { conditions } = world(store);
    assert.equal(conditions.of(SERIAL).state, 'off');
    await conditions.stop();
    assert.deepEqual(store.list('state/'), []);
  });

  it('go with the node', async () => {
    const one = world();
    boot(one);
    await one.conditions.stop();
    one.conditions.asked(SERIAL);
    await one.store.transact({
      writes: [
        { kind: 'delete', key: `node/${SERIAL}` },
        { kind: 'delete', key: stateKey(SERIAL) },
      ],
    });
    await one.conditions.stop();
    assert.deepEqual([one.state(), one.store.list('state/')], ['off', []]);
  });

  it('are written later when the disk is ill', async () => {
    const store = new MemoryStore();
    const transact = store.transact.bind(store);
    store.transact = () => Promise.reject(new Error('disk full'));
    const { conditions } = world(store);
    conditions.asked(SERIAL);
    await conditions.stop();
    store.transact = transact;
    await conditions.stop();
    assert.deepEqual(store.get(stateKey(SERIAL))?.value, { state: 'asked', since: 0 });
  });
});
