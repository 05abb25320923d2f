import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Boots, type FallBack } from '../../src/fleet/boots.ts';
import type { Fleet } from '../../src/fleet/fleet.ts';
import type { StoredGeneration } from '../../src/model/generation.ts';
import { silentLog } from '../../src/model/log.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { sampleGeneration, sampleNode } from '../boot/sample-view.ts';
import { openSmallFleet, sealed } from './small-fleet.ts';

const SERIAL = parseSerial('9ffefdef');
const NODE = sampleNode({ serial: SERIAL });
const MINUTE = 60_000;

const made = (id: string, provides: string[] = ['reports']): StoredGeneration => ({
  ...sampleGeneration('web', {}, `/${id}`),
  id,
  provides,
});
const [A, B, C] = [made('web-00000000000a'), made('web-00000000000b'), made('web-00000000000c')];
const MUTE = made('web-00000000000d', []);

/** A node that came up with A and is to boot B now. */
function world(attempts = 3) {
  let elapsed = 0;
  let intended = A;
  let there = [A, B, C, MUTE];
  const store = new MemoryStore();
  const told: FallBack[] = [];
  const open = () =>
    new Boots({
      store,
      log: silentLog,
      intended: () => intended,
      generation: (id) => there.find((each) => each.id === id),
      isNode: () => true,
      onBegun: () => {},
      attempts,
      onFellBack: (_, fallBack) => told.push(fallBack),
      now: () => elapsed,
      elapsed: () => elapsed,
    });
  let boots = open();
  const boot = ({ kernel = true, up = false } = {}): string | undefined => {
    elapsed += 10 * MINUTE;
    const found = boots.pin(NODE, 'config.txt')?.generation;
    if (kernel) boots.pin(NODE, 'vmlinuz');
    if (up && found) boots.cameUp(SERIAL, found.id);
    return found?.id;
  };
  assert.equal(boot({ up: true }), A.id);
  return {
    store,
    told,
    boot,
    boots: () => boots,
    want: (generation: StoredGeneration) => {
      intended = generation;
    },
    restart: () => {
      boots = open();
    },
    lose: (generation: StoredGeneration) => {
      there = there.filter((each) => each !== generation);
    },
  };
}

describe('a node that does not come up', () => {
  it('gets what it came up with last after three boots, and that is told once', () => {
    const { boot, want, told, boots } = world();
    want(B);
    assert.deepEqual([boot(), boot(), boot(), boot(), boot()], [B.id, B.id, B.id, A.id, A.id]);
    assert.deepEqual(told, [{ from: B.id, to: A, attempts: 3 }]);
    assert.equal(boots().fallBack(NODE)?.to, A);
    assert.equal(boot({ up: true }), A.id, 'and that it comes up with A changes nothing');
    assert.equal(boot(), A.id);
  });

  it('also when the service is restarted between its boots', () => {
    const { boot, want, restart } = world();
    want(B);
    for (const expected of [B.id, B.id, B.id, A.id, A.id]) {
      assert.equal(boot(), expected);
      restart();
    }
  });

  it('as often as the configuration says', () => {
    const { boot, want } = world(1);
    want(B);
    assert.deepEqual([boot(), boot()], [B.id, A.id]);
  });

  const stays: Array<{ given: string; arrives: (it: ReturnType<typeof world>) => void; boots: string }> = [
    {
      given: 'it came up in between',
      arrives: ({ boot }) => {
        boot();
        boot();
        boot({ up: true });
        boot();
        boot();
      },
      boots: B.id,
    },
    {
      given: 'it was cut off before its kernel',
      arrives: ({ boot }) => {
        for (let count = 0; count < 5; count += 1) boot({ kernel: false });
      },
      boots: B.id,
    },
    {
      given: 'it is to boot another one now',
      arrives: ({ boot, want }) => {
        for (let count = 0; count < 4; count += 1) boot();
        want(C);
      },
      boots: C.id,
    },
    {
      given: 'a person wants it tried again',
      arrives: ({ boot, boots, store }) => {
        for (let count = 0; count < 4; count += 1) boot();
        store.transact({ writes: boots().retrial(SERIAL) });
      },
      boots: B.id,
    },
    {
      given: 'what it came up with is gone',
      arrives: ({ boot, lose }) => {
        lose(A);
        for (let count = 0; count < 5; count += 1) boot();
      },
      boots: B.id,
    },
    {
      given: 'it cannot report that it is up',
      arrives: ({ boot, want }) => {
        want(MUTE);
        for (let count = 0; count < 5; count += 1) boot();
      },
      boots: MUTE.id,
    },
  ];
  for (const { given, arrives, boots } of stays) {
    it(`gets what it is to boot: ${given}`, () => {
      const it = world();
      it.want(B);
      arrives(it);
      assert.equal(it.boot(), boots);
    });
  }

  it('begins anew when it was removed, also while it boots, and after a restart', () => {
    const { boot, want, boots, store, restart } = world();
    want(B);
    for (let count = 0; count < 4; count += 1) boot();
    boot({ kernel: false });
    store.transact({ writes: boots().removal(SERIAL) });
    boots().pin(NODE, 'vmlinuz');
    restart();
    const { good, failed } = boots().record(SERIAL) ?? {};
    assert.deepEqual([good, failed, boots().fallBack(NODE)], [undefined, undefined, undefined]);
    assert.deepEqual(
      [boot(), boot(), boot(), boot()],
      [B.id, B.id, B.id, B.id],
      'there is nothing to go back to',
    );
    assert.deepEqual(boots().removal(parseSerial('b66c4c16')), []);
  });

  it('that never came up with anything gets no other one', () => {
    const boots = new Boots({
      store: new MemoryStore(),
      log: silentLog,
      intended: () => B,
      generation: () => A,
      isNode: () => true,
      onBegun: () => {},
      attempts: 1,
    });
    for (const xid of [1, 2, 3]) {
      boots.announce({ serial: SERIAL, order: 1, xid });
      assert.equal(boots.pin(NODE, 'config.txt')?.generation, B);
      boots.pin(NODE, 'vmlinuz');
    }
  });

  it('has three boots again after a person retried it', () => {
    const { boot, want, boots, store } = world();
    want(B);
    for (let count = 0; count < 4; count += 1) boot();
    store.transact({ writes: boots().retrial(SERIAL) });
    assert.deepEqual([boot(), boot(), boot(), boot()], [B.id, B.id, B.id, A.id]);
  });

  it('is one with what it reports, not with what somebody else asked for in its name', () => {
    const { boot, want, boots } = world();
    want(B);
    boot({ kernel: false });
    boots().cameUp(SERIAL, A.id);
    assert.deepEqual([boots().record(SERIAL)?.isUp, boots().record(SERIAL)?.good], [undefined, A.id]);
  });
});

describe('a node of the fleet that fell back', () => {
  const [OLD, NEW] = [sealed('web-000000000001'), sealed('web-000000000002')];
  const given: Array<{ who: string; change: (fleet: Fleet) => Promise<unknown>; transactions?: number }> = [
    { who: 'it is changed', change: (fleet) => fleet.setNode('one', { role: 'web' }) },
    { who: 'its profile is changed', change: (fleet) => fleet.profiles.set('rack', { role: 'web' }) },
    {
      who: 'it is removed and added again',
      change: async (fleet) => {
        await fleet.removeNode('one');
        await fleet.addNode({ serial: SERIAL, name: 'one', profile: 'rack' });
      },
      transactions: 2,
    },
  ];
  for (const { who, change, transactions = 1 } of given) {
    it(`gets what it did not come up with again when ${who}`, async () => {
      const store = new MemoryStore();
      const open = () =>
        openSmallFleet({ store, generations: [OLD, NEW], config: 'nodes: { attempts: 1 }\n' });
      const fleet = await open();
      await fleet.profiles.set('rack', { image: 'web' });
      await fleet.addNode({ serial: SERIAL, name: 'one', profile: 'rack' });
      let xid = 0;
      const boot = () => {
        fleet.announce({ serial: SERIAL, order: 1, xid: ++xid });
        fleet.pin(fleet.find('one'), 'config.txt');
        return fleet.pin(fleet.find('one'), 'kernel8.img')?.generation.id;
      };
      await fleet.publish('web', OLD.id);
      boot();
      fleet.boots.cameUp(SERIAL, OLD.id);
      await fleet.publish('web', NEW.id);
      assert.deepEqual([boot(), boot()], [NEW.id, OLD.id]);
      const before = store.revision();
      await change(fleet);
      assert.equal(store.revision(), before + transactions, 'all of a change is stored at once');
      assert.equal(fleet.boots.fallBack(fleet.find('one')), undefined);
      assert.equal((await open()).boots.fallBack(fleet.find('one')), undefined);
      assert.equal(boot(), NEW.id);
    });
  }
});
