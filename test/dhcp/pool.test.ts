import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decide } from '../../src/dhcp/decide.ts';
import { OPTION } from '../../src/dhcp/options.ts';
import { chooseAddress, type Seeker } from '../../src/dhcp/pool.ts';
import type { Lease } from '../../src/model/lease.ts';
import { ipv4FromNumber, ipv4ToBytes, ipv4ToNumber } from '../../src/net/ipv4.ts';
import { macFromBytes } from '../../src/net/mac.ts';
import { PI4, PI5 } from './fixtures/discovers.ts';
import {
  ARRIVAL,
  FULL,
  ip,
  LAPTOP,
  lease,
  MemoryLeases,
  mac,
  NOW,
  node,
  plain,
  SERVER,
  viewOf,
  type World,
} from './fixtures/world.ts';

function seeker(world: World, more: Partial<Seeker> = {}): Seeker {
  return {
    mac: LAPTOP,
    node: undefined,
    network: world.network ?? FULL,
    view: viewOf(world),
    leases: new MemoryLeases(world.leases),
    now: NOW,
    ...more,
  };
}

const pool = (first: string, last: string) => ({ ...FULL, pool: { first: ip(first), last: ip(last) } });
const A = ip('192.168.172.100');
const B = ip('192.168.172.101');
const TWO = pool(A, B);
const held = (state: Lease['state'], expiresAt: number, holder: string = PI4.mac) => [
  lease(A, holder, { state, expiresAt }),
];
const told = (expiresAt: number) => [lease(A, PI4.mac, { serial: node(PI4).serial, expiresAt })];

const CASES: ReadonlyArray<{
  name: string;
  given: World;
  seeker?: Partial<Seeker>;
  wishes?: string[];
  expect: string | undefined;
}> = [
  {
    name: 'the reserved address before every wish',
    given: {},
    seeker: { node: node(PI4, { ip: ip('192.168.172.21') }) },
    wishes: [A],
    expect: '192.168.172.21',
  },
  {
    name: 'a reservation of another subnet does not count',
    given: { network: TWO },
    seeker: { node: node(PI4, { ip: ip('10.0.0.3') }) },
    wishes: [B],
    expect: B,
  },
  { name: 'the previous address before the requested', given: { network: TWO }, wishes: [B, A], expect: B },
  {
    name: 'the requested, when the previous is another’s',
    given: { network: TWO, leases: held('bound', NOW + 1) },
    wishes: [A, B],
    expect: B,
  },
  {
    name: 'an expired lease of another is free',
    given: { network: TWO, leases: held('bound', NOW) },
    wishes: [A],
    expect: A,
  },
  {
    name: 'its own lease is free for it',
    given: { network: TWO, leases: held('bound', NOW + 1, LAPTOP) },
    wishes: [A],
    expect: A,
  },
  {
    name: 'not what it declined itself',
    given: { network: TWO, leases: held('declined', NOW + 1, LAPTOP) },
    wishes: [A],
    expect: B,
  },
  {
    name: 'not a wish outside the pool',
    given: { network: pool(A, A) },
    wishes: ['192.168.172.7'],
    expect: A,
  },
  {
    name: 'not another node’s reservation',
    given: { network: TWO, nodes: [node(PI5, { ip: A })] },
    wishes: [A],
    expect: B,
  },
  {
    name: 'not our own address',
    given: { network: pool('192.168.172.1', '192.168.172.2') },
    wishes: [SERVER],
    expect: '192.168.172.2',
  },
  {
    name: 'not the router',
    given: { network: pool('192.168.172.253', '192.168.172.254') },
    wishes: ['192.168.172.254'],
    expect: '192.168.172.253',
  },
  {
    name: 'not the network’s first and last address',
    given: { network: pool('192.168.172.254', '192.168.173.0') },
    expect: undefined,
  },
  {
    name: 'an address nobody had before an abandoned one',
    given: { network: TWO, leases: held('bound', NOW - 1) },
    expect: B,
  },
  {
    name: 'an abandoned one when there is no other',
    given: { network: pool(A, A), leases: held('bound', NOW - 1) },
    expect: A,
  },
  {
    name: 'not a node’s, by its MAC, though it has expired',
    given: {
      network: pool(A, A),
      nodes: [node(PI4, { mac: mac(PI4.mac) })],
      leases: held('bound', NOW - 1),
    },
    wishes: [A],
    expect: undefined,
  },
  {
    name: 'not a node’s, by the serial it told, though it has expired',
    given: { network: pool(A, A), nodes: [node(PI4)], leases: told(NOW - 1) },
    wishes: [A],
    expect: undefined,
  },
  {
    name: 'but for the node itself',
    given: { network: pool(A, A), nodes: [node(PI4)], leases: told(NOW - 1) },
    seeker: { mac: mac(PI4.mac), node: node(PI4) },
    expect: A,
  },
  {
    name: 'what a forger of a node’s serial left is free',
    given: {
      network: pool(A, A),
      nodes: [node(PI4, { mac: mac(PI4.mac) })],
      leases: [lease(A, PI5.mac, { serial: node(PI4).serial, expiresAt: NOW - 1 })],
    },
    expect: A,
  },
  {
    name: 'a node’s that has another address reserved, once it has expired',
    given: { network: pool(A, A), nodes: [node(PI4, { ip: B })], leases: told(NOW - 1) },
    expect: A,
  },
  {
    name: 'not a node’s that has another address reserved, before it has expired',
    given: { network: pool(A, A), nodes: [node(PI4, { ip: B })], leases: told(NOW + 1) },
    expect: undefined,
  },
  {
    name: 'a removed node’s, once it has expired',
    given: { network: pool(A, A), leases: told(NOW - 1) },
    expect: A,
  },
  {
    name: 'nothing when the pool is full',
    given: { network: pool(A, A), leases: held('bound', NOW + 1) },
    expect: undefined,
  },
  { name: 'nothing without a pool', given: { network: withoutPool() }, wishes: [A], expect: undefined },
];

function withoutPool() {
  const { pool: _, ...network } = FULL;
  return network;
}

for (const { name, given, seeker: more, wishes = [], expect } of CASES) {
  test(name, () => assert.equal(chooseAddress(seeker(given, more), wishes.map(ip)), expect));
}

test('a MAC has the same address when everything was forgotten', () => {
  assert.equal(chooseAddress(seeker({}), []), chooseAddress(seeker({}), []));
});

const client = fc.integer({ min: 0, max: 299 });
const event = fc.record({
  client,
  action: fc.constantFrom('discover', 'request', 'renew', 'release', 'decline', 'steal', 'wait'),
  seconds: fc.integer({ min: 0, max: 7200 }),
});

test('300 clients that do as they please: no address has two holders, none that is not to be given is given', () => {
  const network = { ...pool('192.168.172.1', '192.168.172.120'), leaseSeconds: 3600 };
  const nodes = [
    node(PI4, { ip: ip('192.168.172.50') }),
    node(PI5, { ip: ip('192.168.172.10'), mac: mac(PI5.mac) }),
  ];
  const view = viewOf({ network, nodes });
  const forbidden = new Set([SERVER, '192.168.172.50', '192.168.172.10', '192.168.172.254']);

  fc.assert(
    fc.property(fc.array(event, { minLength: 300, maxLength: 900 }), (events) => {
      const leases = new MemoryLeases();
      /** What each client believes it has, by the acknowledgements it got. */
      const believes = new Map<string, { address: string; until: number }>();
      let now = NOW;
      for (const { client, action, seconds } of events) {
        if (action === 'wait') now += seconds * 100;
        const chaddr = macFromBytes(Uint8Array.of(2, 0, 0, 0, client >> 8, client & 0xff));
        const mine = leases.byMac(chaddr, 'rack0')?.address;
        const any = ipv4FromNumber(ipv4ToNumber(SERVER) + (seconds % 130));
        const wish = [
          OPTION.requestedIpAddress,
          ipv4ToBytes(action === 'steal' ? any : (mine ?? any)),
        ] as const;
        const ours = [OPTION.serverIdentifier, ipv4ToBytes(SERVER)] as const;
        const arrives = {
          discover: plain('discover', { chaddr }, [wish]),
          request: plain('request', { chaddr }, [wish, ours]),
          renew: plain('request', { chaddr, ciaddr: mine ?? any }),
          release: plain('release', { chaddr, ciaddr: mine ?? any }),
          decline: plain('decline', { chaddr }, [wish, ours]),
          steal: plain('request', { chaddr }, [wish, ours]),
          wait: plain('discover', { chaddr }),
        }[action];
        const decision = decide(arrives, ARRIVAL, view, leases, now);
        if (decision.kind === 'ignore') continue;
        leases.apply(decision.leaseChanges);
        if (decision.kind === 'silent') believes.delete(chaddr);
        else if (decision.type === 'nak') believes.delete(chaddr);
        else {
          const { yiaddr } = decision.message;
          assert.ok(!forbidden.has(yiaddr), `${yiaddr} was given`);
          if (decision.type === 'offer') believes.delete(chaddr);
          for (const [other, { address, until }] of believes) {
            assert.ok(other === chaddr || address !== yiaddr || until <= now, `${yiaddr} has two holders`);
          }
          if (decision.type === 'ack') believes.set(chaddr, { address: yiaddr, until: now + 3_600_000 });
        }
      }
    }),
    { numRuns: 20 },
  );
});

test('a node takes an address back from a stranger who never came back, and not from another node', () => {
  const nodes = [node(PI4, { mac: mac(PI4.mac) }), node(PI5, { mac: mac(PI5.mac) })];
  const view = viewOf({ network: pool(A, A), nodes });
  const given = (holder: string) => {
    const leases = new MemoryLeases();
    const hold = lease(A, holder, { state: 'offered', expiresAt: NOW + 60_000 });
    leases.apply([{ kind: 'put', lease: hold, volatile: true }]);
    return chooseAddress(
      seeker({}, { mac: mac(PI4.mac), node: node(PI4), network: pool(A, A), view, leases }),
      [],
    );
  };
  assert.equal(given(LAPTOP), A);
  assert.equal(given(PI5.mac), undefined);
});
