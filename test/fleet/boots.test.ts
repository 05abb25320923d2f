import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Boots } from '../../src/fleet/boots.ts';
import type { Store } from '../../src/fleet/store.ts';
import type { StoredGeneration } from '../../src/model/generation.ts';
import { silentLog } from '../../src/model/log.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { sampleGeneration, sampleNode } from '../boot/sample-view.ts';

const SERIAL = parseSerial('9ffefdef');
const NODE = sampleNode({ serial: SERIAL });
const [A, B] = ['web-00000000000a', 'web-00000000000b'].map(
  (id): StoredGeneration => ({ ...sampleGeneration('web', {}, `/${id}`), id }),
) as [StoredGeneration, StoredGeneration];
const SECOND = 1000;
const MINUTE = 60 * SECOND;
/** Stages of a boot, by who asks DHCP. */
const [ROM, FIRMWARE, PXE, IPXE] = [0, 1, 2, 3];

function world(store: Store = new MemoryStore(), startedAt = 0) {
  let elapsed = 0;
  let published: StoredGeneration | undefined = A;
  const begun: string[] = [];
  const boots = new Boots({
    store,
    log: silentLog,
    intended: () => published,
    generation: (id) => [A, B].find((each) => each.id === id),
    isNode: (serial) => serial === SERIAL,
    onBegun: (_, { id }) => begun.push(id),
    now: () => startedAt + elapsed,
    elapsed: () => elapsed,
  });
  return {
    boots,
    store,
    begun,
    pass: (milliseconds: number) => {
      elapsed += milliseconds;
    },
    publish: (generation: StoredGeneration | undefined) => {
      published = generation;
    },
    ask: (name: string, node = NODE) => boots.pin(node, name)?.generation,
    discover: (order: number, xid: number) => boots.announce({ serial: SERIAL, order, xid }),
  };
}

type World = ReturnType<typeof world>;

describe('a boot', () => {
  const cases: Array<{
    given: string;
    arrives: (world: World) => void;
    expect: StoredGeneration;
    asks?: string;
  }> = [
    { given: 'a second file', arrives: () => {}, expect: A },
    {
      given: 'a file after four minutes, the time of a slow one',
      arrives: ({ pass }) => pass(4 * MINUTE),
      expect: A,
    },
    { given: 'a file after a long silence', arrives: ({ pass }) => pass(6 * MINUTE), expect: B },
    { given: 'its firmware asks DHCP again', arrives: ({ discover }) => discover(FIRMWARE, 2), expect: B },
    {
      given: 'a copy of its DISCOVER comes late',
      arrives: ({ discover }) => discover(FIRMWARE, 1),
      expect: A,
    },
    {
      given: 'a Pi 3 asks again, with the xid of all Pi 3',
      arrives: ({ discover, pass }) => {
        pass(10 * SECOND);
        discover(FIRMWARE, 1);
      },
      expect: B,
    },
    { given: 'its next stage asks DHCP', arrives: ({ discover }) => discover(IPXE, 3), expect: A },
    { given: 'its ROM asks DHCP again', arrives: ({ discover }) => discover(ROM, 1), expect: B },
    {
      given: 'a later stage asks long after the last file',
      arrives: ({ discover, pass }) => {
        pass(6 * MINUTE);
        discover(PXE, 4);
      },
      expect: B,
    },
    { given: 'firmware reads its first file again', arrives: () => {}, asks: 'config.txt', expect: A },
    {
      given: 'the first file again after the kernel and the time of a reset',
      arrives: ({ ask, pass }) => {
        ask('vmlinuz');
        pass(3 * SECOND);
      },
      asks: 'config.txt',
      expect: B,
    },
    {
      given: 'the first file again right after a look at the kernel',
      arrives: ({ ask }) => {
        ask('vmlinuz');
      },
      asks: 'config.txt',
      expect: A,
    },
    {
      given: 'the first file again and again, and never the kernel',
      arrives: ({ ask, pass }) => {
        for (let count = 0; count < 6; count++) {
          ask('config.txt');
          ask('start4.elf');
          pass(30 * SECOND);
        }
      },
      asks: 'config.txt',
      expect: B,
    },
    { given: 'nothing published any more', arrives: ({ publish }) => publish(undefined), expect: A },
  ];
  for (const { given, arrives, asks = 'cmdline.txt', expect } of cases) {
    it(`${expect === A ? 'goes on' : 'begins anew'}: ${given}`, () => {
      const it = world();
      it.discover(FIRMWARE, 1);
      assert.equal(it.ask('config.txt'), A);
      it.ask('start4.elf');
      it.publish(B);
      arrives(it);
      assert.equal(it.ask(asks), expect);
      assert.equal(it.ask('overlays/x.dtbo'), expect, 'and stays with it');
    });
  }

  it('of a Pi 3B+ is one, although its bootcode.bin asks DHCP as its ROM does', () => {
    const { discover, ask, pass, publish } = world();
    discover(FIRMWARE, 1);
    assert.equal(ask('bootcode.bin'), A);
    publish(B);
    pass(30 * SECOND);
    discover(FIRMWARE, 1);
    assert.equal(ask('start.elf'), A);
    pass(30 * SECOND);
    discover(FIRMWARE, 1); // its power was cut
    assert.equal(ask('bootcode.bin'), B);
  });

  it('begins with its first file, not with its DISCOVER', () => {
    const { discover, publish, ask } = world();
    discover(FIRMWARE, 1);
    publish(B);
    assert.equal(ask('config.txt'), B);
  });

  it('begins anew with a single name asked for again after a while, as a person does who looks at a file', () => {
    const { ask, pass, publish } = world();
    ask('config.txt');
    publish(B);
    pass(2 * SECOND);
    assert.equal(ask('config.txt'), A, 'firmware repeats itself');
    pass(6 * SECOND);
    assert.equal(ask('config.txt'), B);
  });

  it('has nothing before something is published', () => {
    const { ask, publish } = world();
    publish(undefined);
    assert.equal(ask('config.txt'), undefined);
    publish(B);
    assert.equal(ask('config.txt'), B);
  });

  it('survives a restart of the service in its middle, and none later', async () => {
    for (const { after, expect } of [
      { after: MINUTE, expect: A },
      { after: 20 * MINUTE, expect: B },
    ]) {
      const before = world();
      await before.boots.pin(NODE, 'start4.elf')?.stored;
      const again = world(before.store, after);
      again.publish(B);
      assert.equal(again.ask('config.txt'), expect);
    }
  });

  it('holds the first answer back until its record is on the disk, and no longer than a second', async (t) => {
    let finish = () => {};
    class SlowStore extends MemoryStore {
      override transact = () =>
        new Promise<number>((resolve) => {
          finish = () => resolve(1);
        });
    }
    const store = new SlowStore();
    const { boots } = world(store);
    let isStored = false;
    const wait = boots.pin(NODE, 'config.txt')?.stored?.then(() => {
      isStored = true;
    });
    await new Promise(setImmediate);
    assert.equal(isStored, false);
    finish();
    await wait;
    assert.equal(boots.pin(NODE, 'start4.elf')?.stored, undefined);

    t.mock.timers.enable({ apis: ['setTimeout'] });
    const ill = world(store);
    const held = ill.boots.pin(NODE, 'config.txt')?.stored;
    t.mock.timers.tick(1000);
    await held;
  });

  it('is answered although the disk is ill', async () => {
    class IllStore extends MemoryStore {
      override transact = () => Promise.reject(new Error('disk full'));
    }
    const store = new IllStore();
    const { boots } = world(store);
    await boots.pin(NODE, 'config.txt')?.stored;
    assert.equal(boots.record(SERIAL)?.generation, A.id);
  });

  it('keeps in its record what may still run until it has its kernel', () => {
    const { boots, ask, pass, publish } = world();
    ask('config.txt');
    ask('vmlinuz');
    publish(B);
    pass(10 * MINUTE);
    ask('config.txt');
    assert.deepEqual([boots.record(SERIAL)?.generation, boots.record(SERIAL)?.before], [B.id, A.id]);
    ask('vmlinuz');
    assert.deepEqual([boots.record(SERIAL)?.generation, boots.record(SERIAL)?.before], [B.id, undefined]);
  });

  it('of invented machines is remembered for a thousand, and of nodes always', async () => {
    const { boots, ask, store } = world();
    ask('config.txt');
    for (let count = 0; count < 1500; count++) {
      const serial = (0xa0000000 + count).toString(16);
      ask('config.txt', sampleNode({ serial }));
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.ok(boots.all().length <= 1025, `${boots.all().length}`);
    assert.equal(store.list('boot/').length, boots.all().length);
    assert.equal(boots.record(SERIAL)?.generation, A.id);
  });

  it('stays one boot while invented machines flood DHCP', () => {
    const { boots, ask, discover, publish } = world();
    discover(FIRMWARE, 1);
    assert.equal(ask('config.txt'), A);
    for (let count = 0; count < 3000; count++)
      boots.announce({ serial: parseSerial((0xa0000000 + count).toString(16)), order: FIRMWARE, xid: 1 });
    publish(B);
    discover(IPXE, 3);
    assert.equal(ask('vmlinuz'), A);
  });

  it('holds its generation until nothing was asked for long', () => {
    const { boots, ask, pass } = world();
    ask('config.txt', sampleNode({ serial: 'a0000000' }));
    assert.deepEqual(boots.pinned(), [A]);
    pass(6 * MINUTE);
    assert.deepEqual(boots.pinned(), []);
  });
});
