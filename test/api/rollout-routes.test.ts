import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import Fastify, { type FastifyInstance } from 'fastify';
import { installProblems } from '../../src/api/problems.ts';
import { addRolloutRoutes } from '../../src/api/rollout-routes.ts';
import type { Problem, RetryAnswer } from '../../src/api/schemas.ts';
import type { Fleet } from '../../src/fleet/fleet.ts';
import type { Rollouts } from '../../src/fleet/rollout/rollouts.ts';
import type { Transaction } from '../../src/fleet/store.ts';
import { Refusal } from '../../src/model/command.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { openSmallFleet, sealed } from '../fleet/small-fleet.ts';

const SERIAL = parseSerial('9ffefdef');
const [OLD, NEW] = [sealed('web-000000000001'), sealed('web-000000000002')];

class FillingStore extends MemoryStore {
  isFull = false;

  override transact(transaction: Transaction): Promise<number> {
    return this.isFull
      ? Promise.reject(new Refusal('The disk is full', 'Free some space.'))
      : super.transact(transaction);
  }
}

describe('retry over the API', () => {
  let store: FillingStore;
  let fleet: Fleet;
  let api: FastifyInstance;
  const open = () => openSmallFleet({ store, generations: [OLD, NEW], config: 'nodes: { attempts: 1 }\n' });
  const retry = () => api.inject({ method: 'POST', url: '/v1/nodes/one/retry' });

  /** A node that fell back, and came up with that. */
  beforeEach(async () => {
    store = new FillingStore();
    fleet = await open();
    api = Fastify();
    installProblems(api);
    addRolloutRoutes(api, { fleet, rollouts: {} as Rollouts }, (reference) => reference);
    await fleet.addNode({ serial: SERIAL, name: 'one', image: 'web' });
    let xid = 0;
    for (const [published, comesUp] of [
      [OLD, true],
      [NEW, false],
      [NEW, true],
    ] as const) {
      await fleet.publish('web', published.id);
      fleet.announce({ serial: SERIAL, order: 1, xid: ++xid });
      fleet.pin(fleet.find('one'), 'config.txt');
      const booted = fleet.pin(fleet.find('one'), 'kernel8.img')?.generation.id;
      if (comesUp && booted) fleet.boots.cameUp(SERIAL, booted);
    }
    assert.equal(fleet.boots.fallBack(fleet.find('one'))?.from, NEW.id);
  });

  it('has the node boot what it is to boot, also after a restart', async () => {
    const response = await retry();
    const { fellBackFrom, generation } = response.json<RetryAnswer>();
    assert.deepEqual([response.statusCode, fellBackFrom, generation], [200, NEW.id, NEW.id]);
    const again = await open();
    assert.equal(again.boots.fallBack(again.find('one')), undefined);
  });

  it('says so when that cannot be stored, and does it when asked again', async () => {
    store.isFull = true;
    const refused = await retry();
    assert.deepEqual(
      [refused.statusCode, refused.json<Problem>().error],
      [409, 'The disk is full. Free some space.'],
    );
    store.isFull = false;
    assert.equal((await retry()).statusCode, 200);
    const again = await open();
    assert.equal(again.boots.fallBack(again.find('one')), undefined);
  });
});
