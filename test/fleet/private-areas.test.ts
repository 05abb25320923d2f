import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Addresses, MoveListener } from '../../src/fleet/addresses.ts';
import { PrivateAreas } from '../../src/fleet/private-areas.ts';
import type { BootView } from '../../src/model/boot-view.ts';
import { Refusal } from '../../src/model/command.ts';
import type { StoredGeneration } from '../../src/model/generation.ts';
import { silentLog } from '../../src/model/log.ts';
import type { Node } from '../../src/model/node.ts';
import type { NodeState } from '../../src/model/node-state.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import type { Serial } from '../../src/net/serial.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { RecordingExporter } from '../nfs/recording-exporter.ts';
import { openSmallFleet, sealed } from './small-fleet.ts';

const SERIAL = 'aaaaaaaa' as Serial;
const GIB = 2 ** 30;

let store: MemoryStore;
let node: Node | undefined;
let image: Pick<StoredGeneration, 'node'>;
let state: NodeState;
let mayRun: boolean;
let seenAt: number | undefined;
let problem: string | undefined;
let now: number;
/** Of one opening: an earlier one's may come late. */
let applied: { times: number; epochs: number[] };
/** What applying the exports does beside. */
let onApply: () => void;
let moved: MoveListener[];
let areas: PrivateAreas;

function open(): void {
  const count: typeof applied = { times: 0, epochs: [] };
  applied = count;
  const addresses = {
    addressOf: () => '10.0.0.5' as Ipv4,
    seenAt: () => seenAt,
    onMoved: (listener: MoveListener) => moved.push(listener),
  } as unknown as Addresses;
  const opened = new PrivateAreas({
    store,
    addresses,
    view: () =>
      ({ nodes: new Map(node ? [[SERIAL, node]] : []), exportsFolder: '/exports' }) as unknown as BootView,
    generationsOf: () => [image as StoredGeneration],
    stateOf: () => state,
    mayRun: () => mayRun,
    applyExports: async () => {
      count.times++;
      count.epochs.push(...opened.all().map(({ epoch }) => epoch));
      onApply();
    },
    problemOf: () => problem,
    log: silentLog,
    now: () => now,
  });
  areas = opened;
}

beforeEach(() => {
  store = new MemoryStore();
  node = { serial: SERIAL, name: 'pi-1', image: 'web' };
  image = {};
  state = 'off';
  mayRun = false;
  seenAt = problem = undefined;
  now = 5000;
  moved = [];
  onApply = () => {};
  open();
});

const change = () => store.transact({ writes: [{ kind: 'put', key: `node/${SERIAL}`, value: {} }] });
const settle = () => sleep(200);

const settled: ReadonlyArray<{ name: string; given: Partial<Node>; image?: object; expect: object[] }> = [
  { name: 'a node that says nothing has none', given: {}, expect: [] },
  { name: 'an overlay has none', given: { root: 'overlay' }, expect: [] },
  { name: 'a private root', given: { root: 'private' }, expect: [{ name: 'root.ext4', bytes: 2 * GIB }] },
  {
    name: 'a private root of its own size',
    given: { root: 'private', disk: '4G' },
    expect: [{ name: 'root.ext4', bytes: 4 * GIB }],
  },
  {
    name: 'a private root because its image says so',
    given: {},
    image: { root: 'private', disk: '1G' },
    expect: [{ name: 'root.ext4', bytes: GIB }],
  },
  {
    name: 'none, although its image says so',
    given: { root: 'readonly' },
    image: { root: 'private' },
    expect: [],
  },
  {
    name: 'a block file alone',
    given: { block: { size: '8G', path: '/var/lib/containers' } },
    expect: [{ name: 'block.ext4', bytes: 8 * GIB }],
  },
];

describe('the disks of a node', () => {
  for (const { name, given, image: says, expect } of settled) {
    it(name, () => {
      node = { ...(node as Node), ...given };
      image = says ? { node: says } : {};
      assert.deepEqual(
        areas.all().flatMap(({ disks }) => disks),
        expect,
      );
    });
  }

  it('stay its own when it boots with another root, and over a restart', async () => {
    node = { ...(node as Node), root: 'private' };
    areas.all();
    await sleep(0);
    open();
    node = { ...node, root: 'readonly' };
    assert.deepEqual(areas.all(), [{ serial: SERIAL, address: '10.0.0.5', disks: [], epoch: 0 }]);
    assert.equal(areas.folderOf(node), '/exports/private/aaaaaaaa');
    node = undefined;
    assert.deepEqual(areas.all(), [], 'of a node that was removed nothing is exported');
  });
});

describe('growing', () => {
  const growUntil = () => areas.all()[0]?.growUntil;
  beforeEach(() => {
    node = { ...(node as Node), root: 'private' };
    areas.all();
    state = 'loading';
  });

  it('is for the first two seconds of a boot that the node itself began', () => {
    assert.equal(growUntil(), undefined);
    areas.begun(SERIAL);
    seenAt = now;
    assert.equal(growUntil(), 7000);
    now = 6999;
    state = 'kernel';
    assert.equal(growUntil(), 7000, 'what it fetches may be little');
    now = 7000;
    assert.equal(growUntil(), undefined);
  });

  it('is not for a boot that somebody else begins in its name', () => {
    seenAt = now - 1;
    areas.begun(SERIAL);
    assert.equal(growUntil(), undefined);
  });

  it('is not for a file that a program of its running system fetches', () => {
    mayRun = true;
    areas.begun(SERIAL);
    seenAt = now;
    assert.equal(growUntil(), undefined);
  });

  it('is not while its system runs', () => {
    areas.begun(SERIAL);
    seenAt = now;
    for (state of ['root mounted', 'up', 'unhealthy', 'silent'] as const)
      assert.equal(growUntil(), undefined, state);
  });
});

describe('a reset', () => {
  beforeEach(() => {
    node = { ...(node as Node), root: 'private' };
  });
  const reset = (force = false) => areas.reset(node as Node, { force });

  it('is a later epoch than any before, also after a restart', async () => {
    assert.deepEqual(await reset(), { path: '/exports/private/aaaaaaaa', disks: ['root.ext4'] });
    assert.deepEqual(applied.epochs, [5000]);
    now = 4000; // a clock that was set back
    await reset();
    assert.deepEqual(applied.epochs, [5000, 5001]);
    open();
    await reset();
    assert.deepEqual(applied.epochs, [5002]);
  });

  it('is refused while the node may write to its disk, unless it is forced', async () => {
    for (state of ['asked', 'loading', 'kernel', 'root mounted', 'up', 'unhealthy'] as const) {
      await assert.rejects(reset(), /pi-1 may be writing to its disk \(.*--force/);
      assert.deepEqual(applied.epochs, []);
    }
    await reset(true);
    assert.deepEqual(applied.epochs, [5000]);
  });

  it('is refused where there is nothing to reset', async () => {
    node = { ...(node as Node), root: 'overlay' };
    await assert.rejects(reset(), /no disk of its own.*--root private/);
  });

  it('tells when the disks could not be made', async () => {
    problem = 'the disk of /exports is full';
    await assert.rejects(reset(), (error) => error instanceof Refusal && /is full/.test(error.message));
  });

  it('that was refused is not carried out later, when the node may run', async () => {
    problem = 'the exports unit does not answer';
    await assert.rejects(reset(), /does not answer.*ask again: netboot reset-private aaaaaaaa/);
    assert.deepEqual(applied.epochs, [5000]);
    await settle();
    assert.deepEqual(applied.epochs, [5000, 0], 'what is asked of the exporter is taken back');
  });

  it('that could not even be asked for is taken back as well', async () => {
    onApply = () => {
      onApply = () => {};
      throw new Error('the disk is full');
    };
    await assert.rejects(reset(), /the disk is full/);
    await settle();
    assert.deepEqual(applied.epochs, [5000, 0]);
  });

  it('during which the service is killed is not carried out after its restart', async () => {
    let killed = false;
    onApply = () => {
      killed = true;
      open();
    };
    await reset();
    assert.ok(killed);
    onApply = () => {};
    assert.equal(areas.all()[0]?.epoch, 0);
  });
});

describe('a node that is to be removed', () => {
  const check = () => areas.checkIdle(node as Node, 'remove-node');

  it('is refused while it may write to a disk of its own', () => {
    for (const own of [{ root: 'private' }, { block: { size: '8G', path: '/srv' } }] as const) {
      node = { serial: SERIAL, name: 'pi-1', image: 'web', ...own };
      for (state of ['asked', 'loading', 'kernel', 'root mounted', 'up', 'unhealthy'] as const)
        assert.throws(check, /pi-1 may be writing to its disk \(.*remove-node aaaaaaaa --force/);
      for (state of ['off', 'silent'] as const) check();
    }
  });

  it('is not where it has none', () => {
    state = 'up';
    check();
  });
});

describe('the exports follow', () => {
  it('once for many changes at a time', async () => {
    node = { ...(node as Node), root: 'private' };
    await Promise.all(Array.from({ length: 20 }, change));
    for (const listener of moved) listener(SERIAL, '10.0.0.6' as Ipv4);
    areas.begun(SERIAL);
    await settle();
    assert.equal(applied.times, 1);
    await change();
    await settle();
    assert.equal(applied.times, 2);
  });

  it('when an image stands for a generation that gives its nodes disks', async () => {
    const [plain, own] = [
      sealed('web-111111111111'),
      sealed('web-222222222222', { node: { root: 'private' } }),
    ];
    const exporter = new RecordingExporter();
    const fleet = await openSmallFleet({ generations: [plain, own], exporter });
    await fleet.publish('web', plain.id);
    const mac = 'dc:a6:32:00:00:0a' as Mac;
    await fleet.addNode({ serial: SERIAL, name: 'pi-1', image: 'web', mac });
    await settle();
    assert.ok(!exporter.calls.at(-1)?.includes('/exports/private/aaaaaaaa'));
    await fleet.publish('web', own.id);
    await settle();
    assert.ok(exporter.calls.at(-1)?.includes('/exports/private/aaaaaaaa'));
  });

  it('not where no node has anything of its own', async () => {
    await change();
    for (const listener of moved) listener(SERIAL, '10.0.0.6' as Ipv4);
    areas.begun(SERIAL);
    await settle();
    assert.equal(applied.times, 0);
  });
});
