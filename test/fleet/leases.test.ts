import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LeaseTable } from '../../src/fleet/leases.ts';
import type { Lease } from '../../src/model/lease.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';

const lease = (address: string, mac: string, state: Lease['state'] = 'bound'): Lease => ({
  address: address as Ipv4,
  mac: mac as Mac,
  interface: 'eth0',
  state,
  expiresAt: 1000,
});
const A = lease('10.0.0.1', 'aa:00:00:00:00:01');
const B = lease('10.0.0.2', 'aa:00:00:00:00:02');

class BrokenStore extends MemoryStore {
  override async transact(): Promise<number> {
    throw new Error('disk full');
  }
}

describe('the lease table', () => {
  it('shows a change at once and has it durable when the commit resolves', async () => {
    const store = new MemoryStore();
    const table = new LeaseTable(store);
    const committed = table.commit([{ kind: 'put', lease: A }]);
    assert.equal(table.byAddress(A.address), A);
    await committed;
    assert.deepEqual(new LeaseTable(store).byMac(A.mac, 'eth0'), A);
  });

  it('is as before when the disk refuses', async () => {
    const table = new LeaseTable(new BrokenStore());
    await assert.rejects(
      table.commit([
        { kind: 'put', lease: A },
        { kind: 'put', lease: B },
      ]),
      /disk full/,
    );
    assert.deepEqual(table.all(), []);
    assert.equal(table.byMac(A.mac, 'eth0'), undefined);
  });

  it('is as the disk is when two changes of one address fail together', async () => {
    const table = new LeaseTable(new BrokenStore());
    const failing = [
      table.commit([{ kind: 'put', lease: A }]),
      table.commit([{ kind: 'put', lease: lease(A.address, B.mac) }]),
    ];
    for (const { status } of await Promise.allSettled(failing)) assert.equal(status, 'rejected');
    assert.deepEqual(table.all(), []);
  });

  it('gives a declined address back to nobody', async () => {
    const table = new LeaseTable(new MemoryStore());
    await table.commit([{ kind: 'put', lease: A }]);
    await table.commit([{ kind: 'put', lease: lease(A.address, A.mac, 'declined') }]);
    assert.equal(table.byAddress(A.address)?.state, 'declined');
    assert.equal(table.byMac(A.mac, 'eth0'), undefined);
  });

  it('forgets a released address, in memory and in the store', async () => {
    const store = new MemoryStore();
    const table = new LeaseTable(store);
    await table.commit([
      { kind: 'put', lease: A },
      { kind: 'put', lease: B },
    ]);
    await table.commit([{ kind: 'remove', address: A.address }]);
    assert.deepEqual(table.all(), [B]);
    assert.deepEqual(new LeaseTable(store).all(), [B]);
  });

  it('keeps the MAC index right when an address changes hands', async () => {
    const table = new LeaseTable(new MemoryStore());
    await table.commit([{ kind: 'put', lease: A }]);
    const taken = lease(A.address, B.mac);
    await table.commit([{ kind: 'put', lease: taken }]);
    assert.equal(table.byMac(A.mac, 'eth0'), undefined);
    assert.equal(table.byMac(B.mac, 'eth0'), taken);
  });
});
