import assert from 'node:assert/strict';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import { ELSEWHERE, FULL, HOME, hmac, MAC, OTHER, OTHER_MAC, publicHalf, SERIAL, World } from './world.ts';

const NONCE = '0123456789abcdef0123456789abcdef';

test('a node gets all that makes it this node, line by line, signed to this request', async () => {
  await using world = await World.make();
  await world.fleet.setNode(SERIAL, {
    block: { size: '1G', path: '/var/lib/containers' },
    files: {
      '/etc/one.key': { mode: '0600', owner: 'root', group: 'root', content: btoa('the key\n') },
      '/etc/nothing': { mode: '0644', owner: 'www-data', group: 'www-data', content: '' },
    },
  });
  const token = world.token(SERIAL, HOME);
  assert.match(token, /^[0-9a-z]{8}\.[\w-]{22}$/);
  const answer = await world.client(SERIAL, HOME).redeem(token, NONCE);
  assert.equal(answer.status, 200);
  const asked = `serial ${SERIAL}\nsince ${token.split('.')[0]}\nnonce ${NONCE}\n`;
  const requestMac = hmac(token, `/v1/identity\n${asked}`);
  assert.equal(answer.mac, hmac(token, `answer\n${requestMac}\n${answer.body}`));
  const lines = answer.body.split('\n') as [string, string, string, string, ...string[]];
  assert.match(lines[0], /^report-key [0-9a-f]{64}$/);
  assert.match(lines[1], /^run \S+$/);
  assert.match(lines[2], /^host-key [A-Za-z0-9+/]+=*$/);
  assert.match(lines[3], /^host-key-public ssh-ed25519 [A-Za-z0-9+/]+=* 9ffefdef$/);
  assert.deepEqual(lines.slice(4).sort(), [
    '',
    'block /var/lib/containers',
    'file 0600 root root /etc/one.key dGhlIGtleQo=',
    'file 0644 www-data www-data /etc/nothing -',
  ]);
  const file = join(world.folder, 'key');
  await writeFile(file, Buffer.from(lines[2].slice('host-key '.length), 'base64'));
  await chmod(file, 0o600);
  assert.ok(lines[3].includes(publicHalf(file).split(' ')[1] as string), 'the halves belong together');
});

test('a lost answer may be asked for again, with the same nonce alone', async () => {
  await using world = await World.make();
  const client = await world.booted(SERIAL, HOME);
  const token = world.token(SERIAL, HOME);
  assert.equal((await client.redeem(token)).status, 403);

  const other = await world.booted(OTHER, ELSEWHERE);
  const before = other.key;
  const again = await other.raw(other.recorded);
  assert.equal(again.status, 200);
  assert.match(again.body, new RegExp(`^report-key ${before}\n`));
});

test('the host key is the same at each boot, and another for each node', async () => {
  await using world = await World.make();
  const keyOf = async (serial: typeof SERIAL, address: typeof HOME) => {
    const client = await world.booted(serial, address);
    const [key] = /^host-key-public .*$/m.exec((await client.raw(client.recorded)).body) ?? [];
    return key;
  };
  const first = await keyOf(SERIAL, HOME);
  const second = await keyOf(OTHER, ELSEWHERE);
  assert.ok(first && second && first !== second);
  await world.restart();
  world.fleet.announce({ serial: SERIAL, order: 0, xid: 1 }); // it boots anew
  assert.equal(await keyOf(SERIAL, HOME), first);
});

test('many who ask at once get one key', async () => {
  await using world = await World.make();
  await world.store.transact({ writes: [{ kind: 'delete', key: `identity/${SERIAL}` }] });
  const keys = await Promise.all(
    Array.from({ length: 20 }, () => world.fleet.reporting.identities.hostKey(SERIAL)),
  );
  assert.equal(new Set(keys.map(({ publicKey }) => publicKey)).size, 1);
  assert.equal(world.fleet.reporting.identities.publicKey(SERIAL), keys[0]?.publicKey);
});

test('a token is of no use from another address, for another node, or with another moment', async () => {
  await using world = await World.make();
  const token = world.token(SERIAL, HOME);
  assert.equal((await world.client(SERIAL, ELSEWHERE).redeem(token)).status, 403, 'another address');
  assert.equal((await world.client(OTHER, HOME).redeem(token)).status, 403, 'another node');
  const own = world.client(SERIAL, HOME);
  const [since = '', mac] = token.split('.');
  const later = (Number.parseInt(since, 36) + 1).toString(36);
  assert.equal((await own.redeem(`${later}.${mac}`)).status, 403, 'another moment');
  assert.equal(world.server.counters().refused, 3);
  assert.match(world.troubles()[0] ?? '', /without the token of its boot \(from 127\.0\.0\.22\)/);
  assert.equal((await own.redeem(token)).status, 200, 'and then its own');
});

test('a user of a node who is not root gets nothing, whatever he reads there', async () => {
  await using world = await World.make();
  const token = world.token(SERIAL, HOME);
  const thief = world.client(SERIAL, HOME);
  for (const port of [1024, 50_321]) {
    const answer = await thief.redeem(token, NONCE, thief.connect(port));
    assert.equal(answer.status, 403, `${port}`);
    assert.match(
      answer.body,
      /by a program that is not root; .*its image is of an older netboot: build it anew/,
    );
    assert.ok(!answer.mac);
  }
  assert.equal(world.server.counters().refused, 2);
  assert.equal(world.server.counters().identities, 0);
  assert.match(world.troubles()[0] ?? '', /by a program that is not root; .* \(from 127\.0\.0\.21\)$/);
  assert.ok(await world.booted(SERIAL, HOME), 'the token is not spent by that');
});

test('a kernel that another DHCP server gave another address than its firmware is still its node, by its MAC', async () => {
  await using world = await World.make();
  const { fleet } = world;
  const node = fleet.find(SERIAL);
  const [there, elsewhere] = ['127.0.0.23' as Ipv4, '127.0.0.24' as Ipv4];
  const token = world.token(SERIAL, HOME);
  world.has(there, MAC).has(elsewhere, OTHER_MAC);
  assert.equal(
    (await world.client(SERIAL, there).redeem(token)).status,
    403,
    'nobody with its MAC was at HOME',
  );
  await fleet.addresses.located(SERIAL, HOME);
  assert.equal((await world.client(SERIAL, elsewhere).redeem(token)).status, 403, 'another MAC');
  assert.equal((await world.client(SERIAL, '127.0.0.25' as Ipv4).redeem(token)).status, 403, 'no MAC');
  assert.equal(fleet.addresses.addressOf(node), HOME);
  const client = world.client(SERIAL, there);
  assert.equal((await client.redeem(token, NONCE)).status, 200);
  assert.equal(fleet.addresses.addressOf(node), there);
  assert.equal((await client.redeem(token, NONCE)).status, 200, 'as when the answer was lost');
  assert.equal((await client.redeem(token)).status, 403, 'another nonce');
  assert.equal((await client.report()).status, 200);
});

test('who took over the address of a node is not the node', async () => {
  await using world = await World.make({ settings: FULL });
  const { fleet } = world;
  const client = world.client(SERIAL, HOME);
  world.has(HOME, OTHER_MAC);
  const answer = await client.redeem(world.token(SERIAL, HOME));
  assert.equal(answer.status, 403);
  assert.equal(answer.body, `its identity was asked for by another machine (${OTHER_MAC})\n`);
  // What a lease says goes before what answers to ARP.
  const lease = { address: HOME, mac: fleet.find(SERIAL).mac as typeof OTHER_MAC, interface: 'eth0' };
  await fleet.leases.commit([
    { kind: 'put', lease: { ...lease, state: 'bound', expiresAt: Date.now() + 60_000 } },
  ]);
  assert.equal((await client.redeem(world.token(SERIAL, HOME))).status, 200);
});

test('a lease that is left over from an earlier `dhcp: full` says nothing of who has its address now', async () => {
  await using world = await World.make({ settings: FULL });
  const lease = { address: HOME, mac: OTHER_MAC, interface: 'eth0', state: 'bound' as const };
  await world.fleet.leases.commit([{ kind: 'put', lease: { ...lease, expiresAt: Date.now() + 60_000 } }]);
  const ask = async () => (await world.client(SERIAL, HOME).redeem(world.token(SERIAL, HOME), NONCE)).status;
  assert.equal(await ask(), 403);
  world.settings = 'dhcp: proxy';
  await world.restart();
  assert.equal(await ask(), 200);
});

test('a lease that has run out says nothing of who has its address now', async () => {
  await using world = await World.make({ settings: FULL });
  const lease = { address: HOME, mac: OTHER_MAC, interface: 'eth0', state: 'bound' as const };
  await world.fleet.leases.commit([{ kind: 'put', lease: { ...lease, expiresAt: Date.now() - 1 } }]);
  assert.ok(await world.booted(SERIAL, HOME));
});

test('a token of half an hour ago is over', async (context) => {
  await using world = await World.make();
  const token = world.token(SERIAL, HOME);
  const client = world.client(SERIAL, HOME);
  const now = Date.now();
  context.mock.method(Date, 'now', () => now + 31 * 60_000);
  await world.restart(); // the service reads the time by the method that it finds when it starts
  const answer = await client.redeem(token);
  assert.equal(answer.status, 403);
  assert.match(answer.body, /more than 30 minutes/);
});

test('a token is as old as its boot, however far the time of day was set since', async (context) => {
  await using world = await World.make();
  const token = world.token(SERIAL, HOME);
  const now = Date.now();
  context.mock.method(Date, 'now', () => now + 31 * 60_000);
  assert.equal((await world.client(SERIAL, HOME).redeem(token)).status, 200);
});

test('a boot is the last one also when a time server has set the clock over the boot before', async (context) => {
  await using world = await World.make();
  const real = Date.now();
  let offset = 0;
  context.mock.method(Date, 'now', () => real + offset);
  await world.restart();
  const before = world.token(SERIAL, HOME);
  assert.equal((await world.client(SERIAL, HOME).redeem(before)).status, 200);
  // A power cut, after which the appliance's clock is behind at first.
  offset = -15 * 60_000;
  await world.restart();
  world.fleet.announce({ serial: SERIAL, order: 0, xid: 7 });
  const token = world.token(SERIAL, HOME);
  offset = 6 * 60_000;
  assert.equal((await world.client(SERIAL, HOME).redeem(token, NONCE)).status, 200);
  assert.equal((await world.client(SERIAL, HOME).redeem(token)).status, 403, 'another nonce');
  assert.equal((await world.client(SERIAL, HOME).redeem(token, NONCE)).status, 200, 'the same once more');
  assert.equal((await world.client(SERIAL, HOME).redeem(before)).status, 403, 'the boot before');
});

test('who comes from beyond a router, where no nodes are, is no node', async () => {
  await using world = await World.make();
  const beyond = '127.1.0.21' as Ipv4;
  const answer = await world.client(SERIAL, beyond).redeem(world.token(SERIAL, beyond));
  assert.equal(answer.status, 403);
  assert.match(answer.body, /from a network that is not served/);
});

test('behind a relay, where another server gives the addresses, a node is where one is reserved for it', async () => {
  await using world = await World.make({ settings: 'dhcp: proxy, relayed: [{ subnet: 127.1.0.0/24 }]' });
  const [reserved, other] = ['127.1.0.21' as Ipv4, '127.1.0.22' as Ipv4];
  const ask = (from: Ipv4) => world.client(SERIAL, from).redeem(world.token(SERIAL, from));
  const { status, body } = await ask(reserved);
  assert.equal(status, 403);
  assert.match(body, /behind a router, .*: netboot set-node first --ip ADDRESS\n$/);
  await world.fleet.setNode(SERIAL, { ip: reserved });
  assert.equal((await ask(other)).status, 403);
  assert.equal((await ask(reserved)).status, 200);
  await assert.rejects(world.fleet.setNode(SERIAL, { ip: '127.0.0.30' as Ipv4 }), /is not ours to give/);
});

test('behind a relay, where the addresses are from here, a node is where it got one, also when its lease has run out', async () => {
  const relayed = '[{ subnet: 127.1.0.0/24, pool: 127.1.0.100-127.1.0.200, router: 127.1.0.1 }]';
  await using world = await World.make({ settings: `${FULL}, relayed: ${relayed}` });
  const [own, others, unleased] = ['127.1.0.101', '127.1.0.102', '127.1.0.103'] as [Ipv4, Ipv4, Ipv4];
  const lease = (address: Ipv4, mac: typeof MAC) =>
    ({ address, mac, interface: 'eth0', state: 'bound', expiresAt: Date.now() - 1 }) as const;
  await world.fleet.leases.commit([
    { kind: 'put', lease: lease(own, MAC) },
    { kind: 'put', lease: lease(others, OTHER_MAC) },
  ]);
  const ask = (from: Ipv4) => world.client(SERIAL, from).redeem(world.token(SERIAL, from));
  for (const from of [others, unleased]) {
    const { status, body } = await ask(from);
    assert.equal(status, 403);
    assert.match(body, /behind a router, .* it has to get its address by DHCP from here\n$/);
  }
  assert.equal((await ask(own)).status, 200);
});

test('strangers and removed nodes are refused, and what was theirs is gone', async () => {
  await using world = await World.make();
  const client = await world.booted(SERIAL, HOME);
  const token = world.token(SERIAL, HOME);
  assert.ok(world.store.get(`identity/${SERIAL}`) && world.store.get(`report-key/${SERIAL}`));
  await world.fleet.removeNode(SERIAL);
  assert.equal(world.store.get(`identity/${SERIAL}`), undefined);
  assert.equal(world.store.get(`report-key/${SERIAL}`), undefined);
  assert.equal((await client.redeem(token)).status, 403);
  const answer = await client.report();
  assert.equal(answer.status, 403);
  assert.equal(answer.body, 'it was removed, and runs on\n');
  assert.match(world.troubles().at(-1) ?? '', /^it was removed, and runs on \(from 127\.0\.0\.21\)$/);
  assert.equal((await world.client(OTHER, HOME).report({ serial: '01234567' })).status, 403);
  await world.fleet.addNode({ serial: SERIAL, name: 'first', image: 'web' });
  assert.equal((await client.report()).status, 403, 'the key of the node that was there before');
});

test('no key and no token is in the log, the events, or what is told of a node', async () => {
  await using world = await World.make();
  const client = await world.booted(SERIAL, HOME);
  const token = world.token(SERIAL, HOME);
  await client.redeem(token); // refused
  await client.report({ state: 'degraded', failed: 'nginx.service' }, 'f'.repeat(64)); // forged
  await client.report();
  const { privateKey, publicKey } = await world.fleet.reporting.identities.hostKey(SERIAL);
  const secrets = [
    token,
    token.split('.')[1] as string,
    client.key,
    privateKey.split('\n')[2] as string,
    btoa(privateKey).slice(40, 100),
    world.store.get('secret/boot-token')?.value as string,
  ];
  const said = JSON.stringify([world.lines, world.events, world.fleet.find(SERIAL)]);
  assert.ok(world.lines.length > 0 && world.events.length > 0);
  for (const secret of secrets) {
    assert.ok(secret.length > 20);
    assert.ok(
      !said.includes(secret),
      said.slice(Math.max(0, said.indexOf(secret) - 100), said.indexOf(secret)),
    );
  }
  assert.match(publicKey, /^ssh-ed25519 /);
});
