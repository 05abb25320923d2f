import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AddressProbe } from '../../src/dhcp/address-probe.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';

const ADDRESS = '10.0.0.9' as Ipv4;
const CLIENT = '02:00:00:00:00:01' as Mac;
const PRINTER = '02:00:00:00:00:99' as Mac;

function world(table: Array<[Ipv4, Mac]> = []) {
  const clock = { now: 1_000_000 };
  const asked: Ipv4[] = [];
  const probe = new AddressProbe({
    provoke: (address) => asked.push(address),
    neighbour: async (address) => new Map(table).get(address),
    now: () => clock.now,
  });
  const ask = (address = ADDRESS, before?: Mac) =>
    probe.ask({ address, network: 'eth0', knownMacs: [CLIENT, before] });
  return { clock, asked, ask };
}

describe('the probe of an address before it is offered', () => {
  it('names the machine that answers for it', async () => {
    const { ask, asked } = world([[ADDRESS, PRINTER]]);
    assert.equal(await ask(), PRINTER);
    assert.deepEqual(asked, [ADDRESS]);
  });

  it('takes the client itself, and who had the address before, for nobody', async () => {
    assert.equal(await world([[ADDRESS, CLIENT]]).ask(), undefined);
    assert.equal(await world([[ADDRESS, PRINTER]]).ask(ADDRESS, PRINTER), undefined);
  });

  it('does not ask again within a minute when nobody answered', async () => {
    const { ask, clock } = world();
    const first = ask();
    assert.ok(first);
    await first;
    clock.now += 50_000;
    assert.equal(ask(), undefined);
    clock.now += 20_000;
    assert.ok(ask());
  });

  it('keeps nobody waiting when many ask: not in that second, and not while it goes on', async () => {
    const { ask, clock } = world();
    let looked = 0;
    const storm = () => {
      for (let count = 0; count < 100; count++) if (ask(`10.0.1.${count}` as Ipv4)) looked++;
    };
    for (let second = 0; second < 5; second++, clock.now += 1000) storm();
    assert.ok(looked <= 5, `${looked} of 500 were kept waiting`);
    clock.now += 3000;
    assert.ok(ask(), 'and looks again when it is quiet');
  });
});
