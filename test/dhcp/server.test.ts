import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { OPTION, textBytes } from '../../src/dhcp/options.ts';
import { type DhcpMessage, decodeMessage, encodeMessage } from '../../src/dhcp/packet.ts';
import { type DatagramSocket, type DhcpServerOptions, startDhcpServer } from '../../src/dhcp/server.ts';
import { LeaseTable } from '../../src/fleet/leases.ts';
import type { LeaseChange } from '../../src/model/lease.ts';
import { silentLog } from '../../src/model/log.ts';
import type { Sighting } from '../../src/model/sighting.ts';
import { Warnings } from '../../src/model/warnings.ts';
import { type Ipv4, ipv4ToBytes } from '../../src/net/ipv4.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { PI4, ROM3, ROM3_PLUS } from './fixtures/discovers.ts';
import { MemoryLeases, mac, node, plain, SERVER, viewOf } from './fixtures/world.ts';

/** Called for each reply with its destination; throws where the network is to fail. */
type Sent = (bytes: Uint8Array, port: number, address: string) => void;

/** The server's socket, but what it sends goes to the client, as on a cable that has nobody else. */
function towards(client: dgram.Socket, socket: dgram.Socket, sent: Sent = () => {}): DatagramSocket {
  return {
    on: (event: 'message' | 'error', listener: (...args: never[]) => void) =>
      socket.on(event, listener as () => void),
    send(bytes, port, address, onSent) {
      try {
        sent(bytes, port, address);
      } catch (error) {
        onSent(error as Error);
        return;
      }
      if (port === 68) socket.send(bytes, client.address().port, '127.0.0.1', onSent);
    },
    close: (onClosed) => socket.close(onClosed),
  };
}

/** A server on the loopback whose replies, meant for port 68, come to one client socket. */
async function start(t: TestContext, more: Partial<DhcpServerOptions> & { sent?: Sent } = {}) {
  const [socket, client] = [dgram.createSocket('udp4'), dgram.createSocket('udp4')];
  socket.bind(0, '127.0.0.1');
  client.bind(0, '127.0.0.1');
  await Promise.all([once(socket, 'listening'), once(client, 'listening')]);
  const leases = new MemoryLeases();
  const view = viewOf({ nodes: [node(PI4), node(ROM3), node(ROM3_PLUS)] });
  const lines: string[] = [];
  const write = (fields: object, message: string) =>
    void lines.push(`${'id' in fields ? fields.id : ''} ${message}`);
  const sightings: Sighting[] = [];
  const server = startDhcpServer({
    sockets: [{ interface: 'rack0', port: 67, socket: towards(client, socket, more.sent) }],
    view: () => view,
    leases,
    commit: async (changes) => leases.apply(changes),
    onSighting: (sighting) => sightings.push(sighting),
    log: { ...silentLog, warn: write, error: write },
    now: Date.now,
    ...more,
  });
  const replies: DhcpMessage[] = [];
  client.on('message', (bytes) => replies.push(decodeMessage(bytes)));
  t.after(async () => {
    client.close();
    await server.stop().catch(() => {});
  });
  return {
    server,
    socket,
    leases,
    lines,
    sightings,
    replies,
    /** Waits until the server has counted so many. How much the kernel buffers is not what is tested. */
    async counted(counter: string, count: number): Promise<void> {
      const until = Date.now() + 3000;
      while ((server.counters()[counter] ?? 0) < count && Date.now() < until) await sleep(1);
      assert.equal(server.counters()[counter], count, counter);
    },
    send: (bytes: Uint8Array) => client.send(bytes, socket.address().port, '127.0.0.1'),
    async replied(count: number, withinMs = 3000): Promise<DhcpMessage[]> {
      const until = Date.now() + withinMs;
      while (replies.length < count && Date.now() < until) await sleep(2);
      assert.equal(replies.length, count, `replies within ${withinMs} ms`);
      return replies;
    },
  };
}

const laptop = (number: number) =>
  encodeMessage(plain('discover', { xid: number, chaddr: mac(`02:00:00:00:00:0${number}`) }));

test('a DISCOVER is answered, its lease kept and its Pi seen', async (t) => {
  const { send, replied, leases, sightings, counted } = await start(t);
  send(PI4.bytes);
  const [reply] = await replied(1);
  assert.equal(reply?.xid, 0x6a0b1c2d);
  assert.deepEqual(
    leases.all().map(({ address }) => address),
    [reply?.yiaddr],
  );
  assert.deepEqual(
    sightings.map(({ serial }) => serial),
    [PI4.serial],
  );
  await counted('offer', 1);
});

test('what fails is logged with its stack, under the name that pino writes out', async (t) => {
  const failure = new Error('disk full');
  const logged: object[] = [];
  const { send, counted } = await start(t, {
    commit: () => Promise.reject(failure),
    log: { ...silentLog, error: (fields) => void logged.push(fields) },
  });
  send(PI4.bytes);
  await counted('commitFailed', 1);
  assert.deepEqual(
    logged.map((fields) => 'err' in fields && fields.err),
    [failure],
  );
});

test('5,000 datagrams of garbage cost nobody a reply and few lines', async (t) => {
  const { send, replied, counted, server, lines } = await start(t);
  const garbage = [
    (index: number) => PI4.bytes.subarray(0, index % 240),
    (index: number) => PI4.bytes.with(236, index % 99), // another cookie
    (index: number) => PI4.bytes.subarray(0, 244 + (index % 14)), // ends inside option 55
    (index: number) => new Uint8Array(index % 1400).fill(index),
  ];
  let sent = 0;
  for (let batch = 0; batch < 125; batch++) {
    for (let index = batch * 40; index < (batch + 1) * 40; index++) {
      send(garbage[index % garbage.length]?.(index) ?? new Uint8Array());
      sent++;
    }
    if (batch === 0 || batch === 60) {
      send(laptop(batch / 60));
      sent++;
    }
    await counted('received', sent);
  }
  send(PI4.bytes);
  await replied(3);
  const { malformed, internalError, offer } = server.counters();
  assert.deepEqual({ malformed, internalError, offer }, { malformed: 5000, internalError: 0, offer: 3 });
  assert.equal(lines.filter((line) => line.startsWith('DHCP_MALFORMED')).length, 1);
});

test('what waits for a slow disk is bounded', async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const leases = new MemoryLeases();
  const commit = (changes: readonly LeaseChange[]) =>
    changes.every((change) => change.kind === 'put' && change.volatile) ? undefined : promise;
  const { send, counted, server, replied } = await start(t, { leases, commit });
  for (let sent = 1; sent <= 4120; sent++) {
    send(ROM3_PLUS.bytes);
    if (sent % 40 === 0) await counted('received', sent);
  }
  send(laptop(1));
  await replied(1); // which waits for no disk
  resolve();
  assert.equal(server.counters().overload, 4120 - 4096);
});

test('no reply leaves before its lease is durable', async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { send, replied, replies } = await start(t, { commit: () => promise });
  send(PI4.bytes);
  await sleep(50);
  assert.equal(replies.length, 0);
  resolve();
  await replied(1);
});

test('clients that ask while the disk is busy get different addresses', async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const leases = new MemoryLeases();
  const commit = (changes: readonly LeaseChange[]) => {
    leases.apply(changes);
    return promise;
  };
  const { send, replied, counted } = await start(t, { leases, commit });
  for (let number = 0; number < 9; number++) send(laptop(number));
  await counted('received', 9);
  resolve();
  const addresses = (await replied(9)).map(({ yiaddr }) => yiaddr);
  assert.equal(new Set(addresses).size, 9);
});

test('a full disk: no reply, a line and a count; answers again when there is room', async (t) => {
  let isFull = true;
  const commit = async () => {
    if (isFull) throw new Error('ENOSPC: no space left on device');
  };
  const { send, replied, replies, counted, lines } = await start(t, { commit });
  send(PI4.bytes);
  await counted('commitFailed', 1);
  await sleep(20);
  assert.equal(replies.length, 0);
  assert.match(lines.join(), /^DHCP_COMMIT_FAILED the lease could not be stored.*ENOSPC/);
  isFull = false;
  send(PI4.bytes);
  await replied(1);
});

test('the reply to a 3B mask ROM waits a second, and nobody waits with it', async (t) => {
  const { send, replied } = await start(t);
  const asked = performance.now();
  send(ROM3.bytes);
  send(PI4.bytes);
  const [first] = await replied(1);
  assert.equal(first?.chaddr, PI4.mac);
  assert.ok(performance.now() - asked < 500);
  const second = (await replied(2))[1];
  assert.equal(second?.chaddr, ROM3.mac);
  assert.ok(performance.now() - asked >= 990);
});

test('stopping drops a delayed reply and closes the sockets', async (t) => {
  const { send, replies, server, socket, leases } = await start(t);
  send(ROM3.bytes);
  while (leases.all().length === 0) await sleep(2);
  const before = performance.now();
  await server.stop();
  assert.ok(performance.now() - before < 500);
  assert.throws(() => socket.address());
  assert.equal(replies.length, 0);
});

test('errors of a socket and of sending are counted and told, and do not end the service', async (t) => {
  let isDown = true;
  const sent: Uint8Array[] = [];
  const world = await start(t, {
    sent: (bytes) => {
      if (isDown) throw new Error('ENETDOWN');
      sent.push(bytes);
    },
  });
  world.socket.emit('error', new Error('recvmsg ENETDOWN'));
  world.send(PI4.bytes);
  await world.counted('sendFailed', 1);
  await world.counted('socketError', 1);
  await world.counted('offer', 0);
  assert.equal(world.lines.length, 2);
  isDown = false;
  world.send(PI4.bytes);
  await world.counted('offer', 1);
  assert.equal(sent.length, 1);
});

/** Has nothing on the disk before it is let go on. */
class StuckStore extends MemoryStore {
  readonly #stuck = Promise.withResolvers<number>();
  override transact(): Promise<number> {
    return this.#stuck.promise;
  }
  goOn(): void {
    this.#stuck.resolve(1);
  }
}

test('the offer to a client that asks again waits for no disk; an ACK, and the offer to a Pi 3, do', async (t) => {
  const store = new StuckStore();
  const leases = new LeaseTable(store);
  const { send, replied, replies } = await start(t, { leases, commit: (changes) => leases.commit(changes) });
  send(ROM3_PLUS.bytes);
  send(laptop(1));
  const [offer] = await replied(1);
  assert.equal(offer?.xid, 1);
  const requested = [OPTION.requestedIpAddress, ipv4ToBytes(offer?.yiaddr as Ipv4)] as const;
  const server = [OPTION.serverIdentifier, ipv4ToBytes(SERVER)] as const;
  const chaddr = mac('02:00:00:00:00:01');
  send(encodeMessage(plain('request', { xid: 2, chaddr }, [requested, server])));
  await sleep(100);
  assert.equal(replies.length, 1);
  store.goOn();
  assert.deepEqual(new Set((await replied(3)).map(({ chaddr }) => chaddr)), new Set([chaddr, ROM3_PLUS.mac]));
});

test('a disk that refuses is an alarm until it takes a lease again', async (t) => {
  let isFull = true;
  const commit = async () => {
    if (isFull) throw new Error('ENOSPC: no space left on device');
  };
  const warnings = new Warnings(silentLog, Date.now);
  const { send, replied, counted } = await start(t, { commit, warnings });
  for (const tries of [1, 2]) {
    send(PI4.bytes);
    await counted('commitFailed', tries);
  }
  assert.deepEqual(
    warnings.all().map(({ id, text }) => `${id}: ${text}`),
    [
      'LEASES_NOT_STORED: leases cannot be stored, so clients are not answered: ENOSPC: no space left on device',
    ],
  );
  isFull = false;
  send(PI4.bytes);
  await replied(1);
  assert.deepEqual(warnings.all(), []);
});

test('right behind the offer to a Pi 3 goes a broadcast, and behind no other (checklist 25)', async (t) => {
  const sent: string[] = [];
  const pis: object[] = [];
  const { send, replied } = await start(t, {
    sent: (_bytes, port, address) => sent.push(`${address}:${port}`),
    onPi3: (pi) => pis.push(pi),
  });
  send(PI4.bytes);
  await replied(1);
  assert.deepEqual(sent.splice(0), ['255.255.255.255:68']);
  send(ROM3_PLUS.bytes);
  await replied(2);
  assert.deepEqual(sent.splice(0), ['255.255.255.255:68', '255.255.255.255:9']);
  send(ROM3.bytes);
  const reply = (await replied(3))[2];
  assert.deepEqual(sent, ['255.255.255.255:68', '255.255.255.255:9']);
  assert.deepEqual(pis[1], { interface: 'rack0', mac: ROM3.mac, address: reply?.yiaddr });
});

test('nobody is answered on an interface that is held back', async (t) => {
  let isHeldBack = true;
  const { send, counted, replied, leases } = await start(t, { isHeldBack: () => isHeldBack });
  send(PI4.bytes);
  await counted('heldBack', 1);
  assert.deepEqual(leases.all(), []);
  isHeldBack = false;
  send(PI4.bytes);
  await replied(1);
});

test('an address that another machine uses rests, and the client is offered the next one', async (t) => {
  const asked: string[] = [];
  const used = Promise.resolve(mac('02:00:00:00:00:99'));
  const ask = ({ address }: { address: Ipv4 }) => {
    asked.push(address);
    return asked.length <= 2 ? used : undefined;
  };
  const { send, replied, leases, lines, counted } = await start(t, { probe: { ask } });
  send(laptop(1));
  const [reply] = await replied(1);
  assert.equal(asked.length, 3);
  assert.equal(reply?.yiaddr, asked[2]);
  await counted('inUse', 2);
  const states = asked.map((address) => leases.byAddress(address as Ipv4)?.state);
  assert.deepEqual(states, ['declined', 'declined', 'offered']);
  assert.equal(lines.filter((line) => line.startsWith('DHCP_ADDRESS_IN_USE')).length, 2);
});

test('what boots over the network gets no address in use either; a Pi waits for nobody', async (t) => {
  const asked: string[] = [];
  const used = Promise.resolve(mac('02:00:00:00:00:99'));
  const ask = ({ address }: { address: Ipv4 }) => (asked.push(address) === 1 ? used : undefined);
  const { send, replied, counted } = await start(t, { probe: { ask } });
  send(encodeMessage(plain('discover', {}, [[OPTION.vendorClass, textBytes('PXEClient:Arch:00007')]])));
  const [reply] = await replied(1);
  assert.equal(reply?.yiaddr, asked[1]);
  await counted('inUse', 1);
  send(PI4.bytes);
  await replied(2);
  assert.equal(asked.length, 2);
});

test('thousands of Pis a second are some hundred lines, and a broken network is not one a packet', async (t) => {
  const written: string[] = [];
  const log = {
    ...silentLog,
    info: (fields: object) => void written.push('id' in fields ? `${fields.id}` : ''),
  };
  const clock = { now: 1_000_000 };
  const quiet = await start(t, { log, now: () => clock.now });
  for (let round = 0; round < 40; round++) {
    for (let index = 0; index < 20; index++) quiet.send(PI4.bytes);
    await quiet.counted('offer', (round + 1) * 20);
  }
  assert.equal(written.filter((id) => id === 'DHCP_OFFER').length, 200);

  const sent = () => assert.fail('ENETDOWN');
  const broken = await start(t, { sent, now: () => clock.now });
  for (let index = 0; index < 100; index++) broken.send(laptop(1));
  await broken.counted('sendFailed', 100);
  assert.ok(broken.lines.length <= 5, `${broken.lines.length} lines`);
});

test('while it is looked whether an address is in use, others are answered, and so is a Pi at once', async (t) => {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const asked: string[] = [];
  const ask = ({ address }: { address: Ipv4 }) => (asked.push(address) === 1 ? promise : undefined);
  const { send, replied } = await start(t, { probe: { ask } });
  send(laptop(1));
  send(laptop(2));
  send(PI4.bytes);
  const before = (await replied(2)).map(({ yiaddr }) => yiaddr);
  resolve(undefined);
  const after = (await replied(3)).map(({ yiaddr }) => yiaddr);
  assert.equal(asked.length, 2, 'a Pi is not kept waiting');
  assert.equal(new Set(after).size, 3);
  assert.equal(after[2], asked[0]);
  assert.ok(!before.includes(asked[0] as Ipv4));
});
