import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LeaseTable } from '../../src/fleet/leases.ts';
import type { Transaction } from '../../src/fleet/store.ts';
import type { Lease, LeaseChange } from '../../src/model/lease.ts';
import { type Ipv4, ipv4FromNumber, ipv4ToNumber } from '../../src/net/ipv4.ts';
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
const OFFERED = lease('10.0.0.1', 'aa:00:00:00:00:01', 'offered');
const RANGE = { first: '10.0.0.1' as Ipv4, last: '10.0.0.8' as Ipv4 };

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
    const both: LeaseChange[] = [
      { kind: 'put', lease: A },
      { kind: 'put', lease: B },
    ];
    await assert.rejects(async () => table.commit(both), /disk full/);
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

  it('keeps everybody off a volatile hold at once, and writes nothing of it', async () => {
    const store = new MemoryStore();
    const table = new LeaseTable(store);
    assert.equal(table.commit([{ kind: 'put', lease: OFFERED, volatile: true }]), undefined);
    assert.equal(table.byAddress(A.address), OFFERED);
    assert.equal(table.byMac(A.mac, 'eth0'), OFFERED);
    assert.deepEqual(new LeaseTable(store).all(), []);
    assert.equal(store.revision(), 0);
  });

  it('writes the lease that a hold becomes', async () => {
    const store = new MemoryStore();
    const table = new LeaseTable(store);
    table.commit([{ kind: 'put', lease: OFFERED, volatile: true }]);
    await table.commit([{ kind: 'put', lease: A }]);
    assert.deepEqual(new LeaseTable(store).all(), [A]);
    assert.equal(table.oldestHold(RANGE), undefined);
  });

  it('goes back to the hold when the disk refuses the lease it was to become', async () => {
    const table = new LeaseTable(new BrokenStore());
    table.commit([{ kind: 'put', lease: OFFERED, volatile: true }]);
    await assert.rejects(async () => table.commit([{ kind: 'put', lease: A }]), /disk full/);
    assert.equal(table.byAddress(A.address), OFFERED);
    assert.equal(table.byMac(A.mac, 'eth0'), OFFERED);
  });

  it('writes a lease that a hold and the store already show alike: the hold alone does not count', async () => {
    const store = new MemoryStore();
    const table = new LeaseTable(store);
    table.commit([{ kind: 'put', lease: A, volatile: true }]);
    await table.commit([{ kind: 'put', lease: { ...A } }]);
    assert.deepEqual(new LeaseTable(store).all(), [A]);
  });

  it('waits again for a lease whose flush failed, although the store shows it', async () => {
    let isIll = true;
    class DoubtfulStore extends MemoryStore {
      override async transact(transaction: Transaction): Promise<number> {
        const revision = await super.transact(transaction); // committed, and then the flush fails
        if (isIll) throw new Error('EIO: fdatasync');
        return revision;
      }
    }
    const table = new LeaseTable(new DoubtfulStore());
    const retry = async () => table.commit([{ kind: 'put', lease: { ...A } }]);
    await assert.rejects(retry, /EIO/);
    await assert.rejects(retry, /EIO/, 'what may be on no disk was taken for stored');
    isIll = false;
    await table.commit([{ kind: 'put', lease: B }]); // durable, and with it what was shown before
    assert.equal(table.commit([{ kind: 'put', lease: { ...A } }]), undefined);
  });

  it('does not write again what is on the disk, and waits for what is on its way there', async () => {
    const store = new MemoryStore();
    const table = new LeaseTable(store);
    const first = table.commit([{ kind: 'put', lease: A }]);
    const second = table.commit([{ kind: 'put', lease: { ...A } }]);
    assert.ok(first && second);
    await Promise.all([first, second]);
    assert.equal(store.revision(), 1, 'one transaction for one turn');
    assert.equal(table.commit([{ kind: 'put', lease: { ...A } }]), undefined);
  });

  it('moves a client that holds a lease as a whole, so that it has one address after a restart', async () => {
    const store = new MemoryStore();
    const table = new LeaseTable(store);
    await table.commit([{ kind: 'put', lease: A }]);
    const moved = lease(B.address, A.mac, 'offered');
    await table.commit([
      { kind: 'remove', address: A.address },
      { kind: 'put', lease: moved, volatile: true },
    ]);
    assert.deepEqual(new LeaseTable(store).all(), [moved]);
  });
});

describe('a vacant address', () => {
  const any = () => true;
  const at = (last: number) => `10.0.0.${last}` as Ipv4;
  const full = (expiresAt: (last: number) => number) =>
    Array.from({ length: 8 }, (_, index) => ({
      ...lease(at(index + 1), `aa:00:00:00:00:0${index + 1}`),
      expiresAt: expiresAt(index + 1),
    }));
  const tableOf = async (leases: readonly Lease[]) => {
    const table = new LeaseTable(new MemoryStore());
    await table.commit(leases.map((each) => ({ kind: 'put', lease: each })));
    return table;
  };

  it('is the first from the start on that nobody had, going round', async () => {
    const table = await tableOf([lease(at(7), A.mac), lease(at(8), B.mac)]);
    assert.equal(table.findVacant(RANGE, at(5), 0, any), at(5));
    assert.equal(table.findVacant(RANGE, at(7), 0, any), at(1));
    assert.equal(
      table.findVacant(RANGE, at(7), 0, (address) => address !== at(1)),
      at(2),
    );
  });

  it('is one whose lease has run out when all were given, from the start on', async () => {
    const table = await tableOf(full((last) => (last === 3 || last === 6 ? 500 : 5000)));
    assert.equal(table.findVacant(RANGE, at(4), 1000, any), at(6));
    assert.equal(table.findVacant(RANGE, at(7), 1000, any), at(3));
  });

  it('is there again as soon as one runs out, is given back or taken away', async () => {
    const table = await tableOf(full((last) => 1000 + last * 100));
    assert.equal(table.findVacant(RANGE, at(4), 1000, any), undefined);
    assert.equal(table.findVacant(RANGE, at(4), 1050, any), undefined);
    assert.equal(table.findVacant(RANGE, at(4), 1100, any), at(1));

    const still = await tableOf(full(() => 100_000));
    assert.equal(still.findVacant(RANGE, at(4), 1000, any), undefined);
    await still.commit([{ kind: 'put', lease: { ...lease(at(5), 'aa:00:00:00:00:05'), expiresAt: 1000 } }]);
    assert.equal(still.findVacant(RANGE, at(4), 1001, any), at(5));
    await still.commit([{ kind: 'put', lease: { ...lease(at(5), A.mac), expiresAt: 100_000 } }]);
    assert.equal(still.findVacant(RANGE, at(4), 1002, any), undefined);
    await still.commit([{ kind: 'remove', address: at(2) }]);
    assert.equal(still.findVacant(RANGE, at(4), 1003, any), at(2));
  });

  it('is looked for in 50,000 given ones without looking at each of them every time', async () => {
    const wide = { first: '10.1.0.1' as Ipv4, last: '10.1.199.255' as Ipv4 };
    const leases: Lease[] = [];
    for (let number = ipv4ToNumber(wide.first); number <= ipv4ToNumber(wide.last); number++)
      leases.push({ ...lease(ipv4FromNumber(number), `02:00:00:${number}`), expiresAt: 1_000_000 });
    const table = await tableOf(leases);
    let looked = 0;
    const suits = () => ++looked > 0;
    const startedAt = performance.now();
    for (let asked = 0; asked < 10_000; asked++)
      assert.equal(table.findVacant(wide, wide.first, asked / 100, suits), undefined);
    const took = performance.now() - startedAt;
    assert.equal(looked, 0);
    assert.ok(took < 2000, `${took} ms`);
  });

  it('may be taken back from the stranger that has kept it waiting longest, and from no lease', async () => {
    const table = await tableOf([A]);
    const hold = (last: number) => lease(at(last), `aa:00:00:00:01:0${last}`, 'offered');
    table.commit([{ kind: 'put', lease: hold(5), volatile: true }]);
    table.commit([{ kind: 'put', lease: hold(3), volatile: true }]);
    table.commit([{ kind: 'put', lease: { ...hold(5), expiresAt: 2000 }, volatile: true }]);
    table.commit([{ kind: 'put', lease: { ...A, expiresAt: 2000 }, volatile: true }]);
    assert.equal(table.oldestHold(RANGE)?.address, at(3));
    assert.equal(table.oldestHold({ first: at(4), last: at(8) })?.address, at(5));
    assert.equal(table.oldestHold({ first: at(6), last: at(8) }), undefined);
  });
});
