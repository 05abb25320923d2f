import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { openSmallFleet, sealed } from './small-fleet.ts';

test('the first file of a boot lets a disk grow, whatever time passes while it is answered', async ({
  mock,
}) => {
  let clock = Date.now();
  mock.method(Date, 'now', () => {
    clock += 1;
    return clock;
  });
  const generation = sealed('web-111111111111');
  const fleet = await openSmallFleet({ generations: [generation] });
  await fleet.publish('web', generation.id);
  const [serial, mac, address] = [parseSerial('9ffefdef'), 'dc:a6:32:00:00:01' as Mac, '10.0.1.1' as Ipv4];
  await fleet.addNode({ serial, mac, name: 'one', image: 'web', root: 'private' });
  await fleet.leases.commit([
    { kind: 'put', lease: { address, mac, interface: 'eth0', state: 'bound', expiresAt: clock + 1e7 } },
  ]);
  assert.equal(fleet.areas.all()[0]?.growUntil, undefined);
  fleet.pin(fleet.find('one'), 'config.txt', address);
  assert.ok(fleet.areas.all()[0]?.growUntil);
});
