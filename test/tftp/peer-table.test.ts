import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PeerTable } from '../../src/tftp/peer-table.ts';
import { RecentPeers } from '../../src/tftp/recent-peers.ts';
import { Slots } from '../../src/tftp/slots.ts';

test('property: the table of peers is a map by address and port', () => {
  // Few addresses and ports in a small table: collisions and removals all the time.
  const peer = fc.record({ address: fc.integer({ min: -4, max: 4 }), port: fc.integer({ min: 1, max: 5 }) });
  const step = fc.tuple(fc.constantFrom('set', 'delete', 'get'), peer, fc.nat(1000));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.integer(), (steps, seed) => {
      const table = new PeerTable(45, seed);
      const model = new Map<string, number>();
      for (const [kind, { address, port }, value] of steps) {
        const key = `${address} ${port}`;
        if (kind === 'set') {
          table.set(address, port, value);
          model.set(key, value);
        } else if (kind === 'delete') {
          table.delete(address, port);
          model.delete(key);
        }
        assert.equal(table.get(address >>> 0, port), model.get(key) ?? -1);
        assert.equal(table.size, model.size);
      }
    }),
    { numRuns: 300 },
  );
});

test('a full table finds everyone, whatever the addresses', () => {
  const table = new PeerTable(4096, 7);
  for (let i = 0; i < 4096; i += 1) table.set(0x0100000a + (i << 24), 1024 + i, i);
  for (let i = 0; i < 4096; i += 1) assert.equal(table.get(0x0100000a + (i << 24), 1024 + i), i);
  assert.equal(table.get(1, 1), -1);
});

test('recent peers are remembered for a while, the newest of them', () => {
  const recent = new RecentPeers<string>(1000, 2);
  recent.set(1, 69, 'one', 0);
  recent.set(2, 69, 'two', 100);
  assert.equal(recent.get(1, 69, 999), 'one');
  assert.equal(recent.get(1, 69, 1000), undefined);
  assert.equal(recent.get(1, 70, 0), undefined);
  recent.set(1, 69, 'one again', 200);
  recent.set(3, 69, 'three', 300);
  assert.deepEqual(
    [1, 2, 3].map((address) => recent.get(address, 69, 400)),
    ['one again', undefined, 'three'],
  );
  recent.forget(1250);
  assert.deepEqual([recent.get(1, 69, 1), recent.get(3, 69, 1)], [undefined, 'three']);
});

test('when all slots are taken the oldest that never answered goes, of the client itself if it has too many', () => {
  const slots = new Slots<{ key: string; peer: { address: string; port: number }; address: number }>({
    transfers: 4,
    transfersPerClient: 2,
  });
  const slot = (address: string, port: number) => ({
    key: `${address}:${port}`,
    peer: { address, port },
    address: 0,
  });
  const [a1, a2, b1, c1] = [slot('a', 1), slot('a', 2), slot('b', 1), slot('c', 1)];
  slots.add(a1);
  assert.equal(slots.makeRoom('a'), undefined);
  slots.add(a2);
  assert.equal(slots.makeRoom('a'), a1);
  slots.answered(a1);
  assert.equal(slots.makeRoom('a'), a2);
  slots.answered(a2);
  assert.equal(slots.makeRoom('a'), 'full');
  assert.equal(slots.makeRoom('b'), undefined);
  slots.add(b1);
  slots.add(c1);
  assert.equal(slots.makeRoom('d'), b1);
  slots.delete(b1);
  assert.equal(slots.makeRoom('d'), undefined);
  assert.deepEqual([slots.size, slots.has(b1), slots.has(c1)], [3, false, true]);
});

test('when all slots are taken and nobody is silent, the client that has most gives one to a client that has fewer', () => {
  const slots = new Slots({ transfers: 6, transfersPerClient: 4 });
  const slot = (address: string, port: number) => ({
    key: `${address}:${port}`,
    peer: { address, port },
    address: 0,
  });
  const taken = ['a', 'a', 'a', 'a', 'b', 'b'].map((address, port) => slot(address, port));
  for (const one of taken) {
    slots.add(one);
    slots.answered(one);
  }
  assert.equal(slots.makeRoom('a'), 'full', 'of its own');
  assert.equal(slots.makeRoom('c'), taken[3], 'the newest');
  assert.equal(slots.makeRoom('b'), taken[3]);
  slots.delete(taken[3] as (typeof taken)[0]);
  const c1 = slot('c', 7);
  slots.add(c1);
  slots.answered(c1);
  assert.equal(slots.makeRoom('b'), 'full', 'the richest would have no more than it');
  assert.equal(slots.makeRoom('c'), taken[2]);
});
