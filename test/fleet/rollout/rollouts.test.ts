import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { assign } from '../../../src/fleet/assignments.ts';
import type { RolloutRequest } from '../../../src/fleet/rollout/start.ts';
import { parseSerial } from '../../../src/net/serial.ts';
import { generation, NEW, OLD, Rack, until } from './rack.ts';

describe('rollouts', () => {
  let rack: Rack;
  const state = () => rack.fleet.rollouts.lastOf('web')?.state;
  const published = () => rack.fleet.view().published.get('web')?.id;
  const start = (request: RolloutRequest = {}) => rack.rollouts.start('web', request);

  beforeEach(async () => {
    rack = new Rack();
    await rack.open();
    await rack.fleet.publish('web', OLD.id);
    await rack.add('pi-1', 'pi-2', 'pi-3');
    assert.equal(rack.runs('pi-3'), OLD.id);
  });
  afterEach(() => rack.close());

  it('move nodes one by one to what was sealed last, and then the image', async () => {
    const { id, base, target, canary, batch } = await start();
    assert.deepEqual([id, base, target, canary, batch], ['web.1', OLD.id, NEW.id, 1, 1]);
    assert.equal(published(), OLD.id);
    await until('it is finished', () => state() === 'finished');
    assert.equal(published(), NEW.id);
    assert.deepEqual([...rack.fleet.assignments.all()], []);
    const told = ['pi-1', 'pi-2', 'pi-3'].flatMap((name) => [`node told ${name}`, `node done ${name}`]);
    assert.deepEqual(rack.told(), ['started', ...told, 'finished']);
    assert.deepEqual(
      rack.boots.slice(3),
      ['pi-1', 'pi-2', 'pi-3'].map((name) => `${name} ${NEW.id}`),
    );
    assert.equal((await rack.rollouts.start('web', { to: OLD.id })).id, 'web.2');
  });

  it('have the image go back first, when it stands for the target', async () => {
    await rack.fleet.publish('web', NEW.id);
    const revisions = new Set<number>();
    for (const prefix of ['channel/', 'rollout/'])
      rack.store.watch(prefix, (_, revision) => revisions.add(revision));
    const { base } = await start();
    assert.deepEqual([base, published(), revisions.size], [OLD.id, OLD.id, 1]);
    await until('it is finished', () => state() === 'finished');
    assert.equal(published(), NEW.id);
  });

  it('leave the image where it is, when there is nothing to go back to', async () => {
    rack.sealed = [OLD];
    const { base } = await start();
    assert.deepEqual([base, published()], [undefined, OLD.id]);
    await until('it is finished', () => state() === 'finished');
    assert.equal(rack.boots.length, 3, 'nobody was rebooted');
  });

  it('stop with the first node that does not come up, and put it back', async () => {
    rack.bad.set(NEW.id, 'nginx.service');
    await start({ withinSeconds: 1 });
    await until('it has stopped', () => state() === 'stopped');
    await until('it is back', () => rack.told().includes('node put back pi-1'));
    assert.equal(rack.runs('pi-1'), OLD.id);
    assert.match(
      rack.fleet.rollouts.lastOf('web')?.reason ?? '',
      /^pi-1: not up within 1s: it is unhealthy: nginx/,
    );
    assert.deepEqual(rack.told(), [
      'started',
      'node told pi-1',
      'node failed pi-1',
      'stopped',
      'node put back pi-1',
    ]);
    await sleep(100);
    assert.deepEqual([...rack.fleet.assignments.all()], []);
    assert.ok(!rack.boots.some((boot) => boot === `pi-2 ${NEW.id}`));

    await assert.rejects(rack.fleet.publish('web', NEW.id), /Rollout web\.1 .* is stopped/);
    await assert.rejects(rack.fleet.withdraw({ generation: NEW.id }), /rollout web\.1 moves nodes to it/);
    rack.bad.clear();
    await rack.rollouts.resume('web');
    await until('it is finished', () => state() === 'finished');
    assert.equal(rack.runs('pi-1'), NEW.id);
  });

  it('cycle the power of who does not answer, and put back whose kernel panics', async () => {
    rack.powered.add('pi-1');
    rack.deaf.add('pi-1');
    rack.bad.set(NEW.id, 'panics');
    await start({ withinSeconds: 1 });
    await until('it is back', () => rack.told().includes('node put back pi-1'));
    assert.deepEqual([state(), rack.runs('pi-1')], ['stopped', OLD.id]);
    assert.deepEqual(rack.boots.slice(3), [`pi-1 ${NEW.id}`, `pi-1 ${OLD.id}`]);
  });

  it('skip who takes no order and has no power, and go on', async () => {
    rack.deaf.add('pi-1');
    await start();
    await until('it is finished', () => state() === 'finished');
    assert.ok(rack.told().includes('node skipped pi-1'));
    assert.deepEqual([rack.runs('pi-1'), rack.runs('pi-2')], [OLD.id, NEW.id]);
  });

  it('wait for the check, and fail with what it says', async () => {
    const asked: string[] = [];
    rack.check = async (url) => {
      asked.push(url);
      return { passed: false, text: 'answers 500' };
    };
    await start({ check: 'http://{ip}:8000/{name}', withinSeconds: 1 });
    await until('it has stopped', () => state() === 'stopped');
    assert.equal(asked[0], 'http://192.168.172.100:8000/pi-1');
    assert.match(
      rack.fleet.rollouts.lastOf('web')?.reason ?? '',
      /check did not pass within 1s: answers 500/,
    );
  });

  it('go on after a kill at any point, and reboot nobody twice', async () => {
    await start();
    for (let count = 0; count < 6; count += 1) {
      await sleep(30 + count * 11);
      await rack.kill();
      await rack.open();
    }
    await until('it is finished', () => state() === 'finished');
    const moved = rack.boots.filter((boot) => boot.endsWith(NEW.id)).sort();
    assert.deepEqual(
      moved,
      ['pi-1', 'pi-2', 'pi-3'].map((name) => `${name} ${NEW.id}`),
    );
  });

  it('pause, resume and abort', async () => {
    await start();
    await rack.rollouts.pause('web');
    await sleep(150);
    const before = rack.boots.length;
    await sleep(150);
    assert.equal(rack.boots.length, before);
    await assert.rejects(rack.rollouts.pause('web'), /is paused, so it cannot be paused/);
    await rack.rollouts.resume('web');
    await until('two are done', () => rack.told().filter((what) => what.startsWith('node done')).length >= 2);
    await rack.rollouts.abort('web');
    assert.equal(state(), 'aborted');
    assert.deepEqual([...rack.fleet.assignments.all()], []);
    assert.equal(published(), OLD.id);
    await rack.bootNow(rack.node('pi-1').serial);
    assert.equal(rack.runs('pi-1'), OLD.id);
    await assert.rejects(rack.rollouts.resume('web'), /No rollout of image "web" is under way/);
  });

  it('at the next boot tell nobody, and take who boots as far as there is room', async () => {
    await start({ atNextBoot: true });
    await sleep(100);
    assert.equal(rack.boots.length, 3);
    await Promise.all(['pi-1', 'pi-2', 'pi-3'].map((name) => rack.bootNow(rack.node(name).serial)));
    assert.equal(rack.boots.slice(3).filter((boot) => boot.endsWith(NEW.id)).length, 1, 'one canary');
    await rack.kill();
    await rack.open();
    await until('it is done', () =>
      [...rack.fleet.rollouts.steps('web.1').values()].some((step) => step.state === 'done'),
    );
    for (const name of ['pi-1', 'pi-2', 'pi-3']) {
      await rack.bootNow(rack.node(name).serial);
      await until('the rack is at rest', () => rack.runs(name) === NEW.id);
      await sleep(50);
    }
    await until('it is finished', () => state() === 'finished');
  });

  it('stop when the generation vanishes', async () => {
    rack.bad.set(NEW.id, 'panics');
    rack.powered.add('pi-1');
    await start({ withinSeconds: 60 });
    await until('the canary boots it', () => rack.boots.includes(`pi-1 ${NEW.id}`));
    rack.sealed = [OLD];
    await rack.fleet.retention(); // looks at the disk
    await until('it is back', () => rack.told().includes('node put back pi-1'));
    assert.equal(state(), 'stopped');
    assert.match(rack.fleet.rollouts.lastOf('web')?.reason ?? '', /no longer there/);
    await assert.rejects(rack.rollouts.resume('web'), /There is no generation/);
  });

  it('leave out who gets another image on the way', async () => {
    rack.sealed = [OLD, NEW, generation('db-000000000001', 1, 'db')];
    await rack.fleet.retention();
    rack.bad.set(`pi-1 ${NEW.id}`, 'panics');
    await start({ withinSeconds: 60 });
    await until('the canary boots it', () => rack.boots.includes(`pi-1 ${NEW.id}`));
    await rack.fleet.setNode('pi-1', { image: 'db' });
    await until('it is finished', () => state() === 'finished');
    assert.ok(rack.told().includes('node left pi-1'));
    assert.equal(rack.runs('pi-3'), NEW.id);
  });

  it('take nobody’s target away that another one gave a node which has its image now', async () => {
    const [old, target] = [generation('db-000000000001', 1, 'db'), generation('db-000000000002', 2, 'db')];
    rack.sealed.push(old, target);
    await rack.fleet.publish('db', old.id);
    await rack.fleet.setNode('pi-3', { image: 'db' });
    await rack.rollouts.start('db', {});
    await rack.rollouts.pause('db');
    await start();
    await until('pi-1 has its turn', () => rack.told().includes('node done pi-1'));
    await rack.rollouts.pause('web');
    rack.rollouts.tick = async () => {}; // both see in the same look that pi-1 has another image
    await rack.fleet.setNode('pi-1', { image: 'db' });
    await rack.rollouts.resume('db');
    Reflect.deleteProperty(rack.rollouts, 'tick');
    await until('it left', () => rack.told().includes('node left pi-1'));
    await until('it is over', () => rack.fleet.rollouts.lastOf('db')?.state !== 'running');
    assert.deepEqual([rack.fleet.rollouts.lastOf('db')?.state, rack.runs('pi-1')], ['finished', target.id]);
  });

  it('keep the target exported for who runs it, also when they were aborted', async () => {
    await start();
    await until('one is done', () => rack.told().includes('node done pi-1'));
    await rack.rollouts.abort('web');
    await rack.fleet.reconcileExports();
    assert.ok(
      rack.exported.at(-1)?.some((path) => path.endsWith(NEW.id)),
      'pi-1 runs on it',
    );
  });

  /** What waits until it is let go. */
  function gate(): { readonly passed: Promise<void>; open(): void } {
    let open = () => {};
    const passed = new Promise<void>((resolve) => {
      open = resolve;
    });
    return { passed, open: () => open() };
  }

  it('give nobody the target any more while their end is being stored', async () => {
    await start({ atNextBoot: true });
    const { passed, open } = gate();
    rack.onWrites = () => passed;
    const aborting = rack.rollouts.abort('web');
    await sleep(50);
    await rack.bootNow(rack.node('pi-1').serial);
    open();
    await aborting;
    assert.equal(rack.boots.at(-1), `pi-1 ${OLD.id}`);
    assert.deepEqual([...rack.fleet.rollouts.steps('web.1')], []);
  });

  it('go on when their end could not be stored', async () => {
    await start({ atNextBoot: true });
    rack.onWrites = () => Promise.reject(new Error('no space left'));
    await assert.rejects(rack.rollouts.abort('web'), /no space left/);
    rack.onWrites = async () => {};
    await rack.bootNow(rack.node('pi-1').serial);
    assert.equal(rack.boots.at(-1), `pi-1 ${NEW.id}`);
  });

  it('that are not known have no hold on a node, also one that an earlier run of the service left', async () => {
    const { serial } = rack.node('pi-2');
    const left = assign(serial, { image: 'web', generation: NEW.id, by: 'web.7' });
    await rack.store.transact({ writes: [left] });
    await rack.kill();
    await rack.open();
    assert.equal(rack.fleet.intended(rack.node('pi-2'))?.id, OLD.id);
    await until('it is forgotten', () => rack.fleet.assignments.all().size === 0);
  });

  it('at the next boot give a machine that nobody added what is published', async () => {
    await start({ atNextBoot: true });
    const stranger = { ...rack.node('pi-1'), serial: parseSerial('deadbeef'), name: 'pi-deadbeef' };
    assert.equal(rack.fleet.pin(stranger, 'config.txt')?.generation.id, OLD.id);
    assert.equal(rack.fleet.intended(stranger)?.id, OLD.id);
    assert.equal(rack.fleet.rollouts.steps('web.1').size, 0);
  });

  it('run, and tell that, although the exports could not be applied once more after a change', async () => {
    rack.onExports = async () => {
      if (state() !== undefined) throw new Error('no NFS server');
    };
    await start();
    rack.onExports = async () => {
      if (state() === 'finished') throw new Error('no NFS server');
    };
    await until('it is finished', () => state() === 'finished');
    await until('that is told', () => rack.told().includes('finished'));
    assert.equal(rack.told()[0], 'started');
    assert.equal(published(), NEW.id);
  });

  it('go back to what is published when their turn comes', async () => {
    const between = generation('web-000000000003', 3);
    rack.sealed = [OLD, NEW, between];
    const { passed, open } = gate();
    rack.onExports = () => passed;
    const publishing = rack.fleet.publish('web', between.id);
    await sleep(50);
    const starting = start({ to: NEW.id });
    await sleep(50);
    open();
    await publishing;
    assert.equal((await starting).base, between.id);
    assert.equal(published(), between.id);
  });

  it('that are refused leave nothing exported', async () => {
    await assert.rejects(start({ check: 'http://{mac}:8000/' }), /no http or https URL/);
    assert.ok(!rack.exported.at(-1)?.some((path) => path.endsWith(NEW.id)));
  });

  const ends: Array<{ until: string; arrives: () => Promise<void> }> = [
    {
      until: 'they go on',
      arrives: async () => {
        rack.onWrites = async () => {};
        await until('it has stopped', () => state() === 'stopped');
        await until('it goes on', () => rack.rollouts.heldUp('web.1') === undefined);
      },
    },
    {
      until: 'they are given up',
      arrives: async () => {
        rack.rollouts.tick = async () => {};
        await sleep(50);
        rack.onWrites = async () => {};
        await rack.rollouts.abort('web');
      },
    },
  ];
  for (const { until: what, arrives } of ends) {
    it(`say what holds them up until ${what}`, async () => {
      rack.bad.set(NEW.id, 'nginx.service');
      await start({ withinSeconds: 1 });
      await until('the canary boots it', () => rack.boots.includes(`pi-1 ${NEW.id}`));
      rack.onWrites = () => Promise.reject(new Error('no space left'));
      await until('it is held up', () => rack.rollouts.heldUp('web.1') === 'no space left');
      assert.equal(state(), 'running');
      await arrives();
      assert.equal(rack.rollouts.heldUp('web.1'), undefined);
    });
  }

  const refused: Array<{
    given: string;
    before?: () => Promise<unknown>;
    request?: RolloutRequest;
    says: RegExp;
  }> = [
    { given: 'an unknown generation', request: { to: 'web-ffffffffffff' }, says: /There is no generation/ },
    { given: 'a second one', before: () => start(), says: /Rollout web\.1 of image "web" .* is running/ },
    {
      given: 'no node',
      before: async () => {
        for (const name of ['pi-1', 'pi-2', 'pi-3']) await rack.fleet.removeNode(name);
      },
      says: /has no node/,
    },
    {
      given: 'a target that does not report, without a check',
      before: async () => {
        const { provides: _, ...silent } = generation('web-000000000003', 3);
        rack.sealed = [OLD, silent];
      },
      says: /do not report/,
    },
    {
      given: 'a target without the role of a node',
      before: async () => {
        rack.sealed = [{ ...OLD, roles: { web: { target: 'web.target' } } }, NEW];
        await rack.fleet.publish('web', OLD.id);
        await rack.fleet.setNode('pi-2', { role: 'web' });
      },
      says: /web-000000000002 has no role "web", which pi-2 has/,
    },
    {
      given: 'a check URL of another protocol',
      request: { check: 'ftp://{ip}/' },
      says: /no http or https URL/,
    },
    { given: 'a check URL with another word', request: { check: 'http://{host}/' }, says: /\{host\}/ },
    {
      given: 'nodes that another one has',
      before: async () => {
        rack.bad.set(NEW.id, 'panics');
        await start();
        await until('pi-1 is told', () => rack.boots.includes(`pi-1 ${NEW.id}`));
        await rack.rollouts.stop();
        rack.sealed.push(generation('db-000000000001', 1, 'db'));
        await rack.fleet.retention();
        rack.rollouts.tick = async () => {}; // it has not seen yet that pi-1 has another image
        await rack.fleet.setNode('pi-1', { image: 'db' });
        return Promise.reject(await rack.rollouts.start('db', {}).catch((error: unknown) => error));
      },
      says: /pi-1 is under way in rollout web\.1/,
    },
  ];
  for (const { given, before, request, says } of refused) {
    it(`are refused for ${given}, and nothing changes`, async () => {
      const attempt = async () => {
        await before?.();
        await start(request);
      };
      await assert.rejects(attempt(), says);
      assert.equal(published(), OLD.id);
    });
  }
});
