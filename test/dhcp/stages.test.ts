import assert from 'node:assert/strict';
import { test } from 'node:test';
import { classify } from '../../src/dhcp/client.ts';
import { decide } from '../../src/dhcp/decide.ts';
import { OPTION, textBytes } from '../../src/dhcp/options.ts';
import { decodeMessage } from '../../src/dhcp/packet.ts';
import { asciiFromBytes } from '../../src/net/bytes.ts';
import { sampleGeneration } from '../boot/sample-view.ts';
import { FIRMWARES, hex, PI4, PI5, ROM3, ROM3_PLUS } from './fixtures/discovers.ts';
import {
  ARRIVAL,
  ask,
  FULL,
  from,
  ip,
  MemoryLeases,
  mac,
  NOW,
  node,
  PROXY,
  plain,
  replyOf,
  SERVER,
  viewOf,
  type World,
} from './fixtures/world.ts';

// One machine through its whole boot, and what its firmware tells of it.

const vendor = (text: string) => [OPTION.vendorClass, textBytes(text)] as const;
const MAC = mac(PI4.mac);
const UUID = [OPTION.clientMachineId, hex('00 4c4c4544 00513710 8033b7c0 4f4d3132')] as const;
const STAGES = [
  { name: 'firmware', message: from(PI4), kind: 'pi' },
  {
    name: 'UEFI',
    message: plain('discover', { chaddr: MAC }, [vendor('PXEClient:Arch:00011:UNDI:003000'), UUID]),
    kind: 'pxe',
  },
  {
    name: 'UEFI by HTTP',
    message: plain('discover', { chaddr: MAC }, [vendor('HTTPClient:Arch:00019:UNDI:003000'), UUID]),
    kind: 'http',
  },
  {
    name: 'iPXE',
    message: plain('discover', { chaddr: MAC }, [
      vendor('PXEClient:Arch:00011:UNDI:003010'),
      [OPTION.userClass, textBytes('iPXE')],
      UUID,
    ]),
    kind: 'ipxe',
  },
  { name: 'U-Boot', message: plain('discover', { chaddr: MAC }, [vendor('U-Boot.armv8')]), kind: 'u-boot' },
  { name: 'kernel', message: plain('discover', { chaddr: MAC }), kind: 'plain' },
  {
    name: 'system',
    message: plain('discover', { chaddr: MAC }, [
      vendor('dhcpcd-10.1.0:Linux-6.12'),
      [OPTION.clientIdentifier, hex('ff 00000001 0001 0001 aabbccdd')],
    ]),
    kind: 'plain',
  },
];
const world = {
  nodes: [node(PI4, { mac: MAC })],
  generations: [sampleGeneration('web', { 'ipxe-arm64.efi': 10 }, '/generations/web')],
  httpPort: 80,
};

test('one MAC is as many stages as options 60, 77 and 97 tell (checklist 6)', () => {
  assert.deepEqual(
    STAGES.map(({ message }) => classify(message).kind),
    STAGES.map(({ kind }) => kind),
  );
});

test('every stage of one MAC has one address, whatever its client identifier (checklist 21)', () => {
  const leases = new MemoryLeases();
  const given = STAGES.map(({ message }, index) => {
    const reply = replyOf(decide(message, ARRIVAL, viewOf(world), leases, NOW + index * 30_000));
    leases.apply(reply.leaseChanges);
    return reply.message.yiaddr;
  });
  assert.equal(new Set(given).size, 1, given.join());
  assert.equal(leases.all().length, 1);
});

test('no stage but the firmware is shown the Pi’s menu (checklist 5, 60)', () => {
  for (const { name, message } of STAGES) {
    const menu = replyOf(ask(world, message)).message.options.get(OPTION.vendorSpecific);
    assert.equal(
      menu !== undefined && asciiFromBytes(menu).includes('Raspberry Pi Boot'),
      name === 'firmware',
      name,
    );
  }
});

for (const userClass of ['iPXE', '\x04iPXE']) {
  test(`iPXE, its user class ${JSON.stringify(userClass)}: a script, and never its own program again (checklist 61)`, () => {
    const message = plain('discover', { chaddr: MAC }, [
      vendor('PXEClient:Arch:00011:UNDI:003010'),
      [OPTION.userClass, textBytes(userClass)],
      UUID,
    ]);
    const { file } = replyOf(ask(world, message)).message;
    assert.match(file, /\.ipxe$/);
    assert.doesNotMatch(file, /efi|kpxe/);
  });
}

test('U-Boot: siaddr and file, no menu (checklist 62)', () => {
  const { message } = replyOf(ask(world, plain('discover', { chaddr: MAC }, [vendor('U-Boot.armv8')])));
  assert.deepEqual([message.siaddr, message.file], [SERVER, `${PI4.serial}/boot.scr.uimg`]);
  assert.ok(!message.options.has(OPTION.vendorSpecific));
});

test('UEFI’s HTTP boot: option 60 says HTTPClient, 67 is a URL (checklist 60)', () => {
  const { message } = replyOf(ask(world, STAGES[2]?.message ?? assert.fail()));
  assert.deepEqual(message.options.get(OPTION.vendorClass), textBytes('HTTPClient'));
  assert.match(
    asciiFromBytes(message.options.get(OPTION.bootfileName) ?? hex('')),
    /^http:\/\/192\.168\.172\.1\//,
  );
});

for (const network of [FULL, PROXY]) {
  for (const firmware of FIRMWARES) {
    test(`${firmware.name}, ${network.dhcp}: 53, 54, 60, the echoed 97 and 43; no file, no 67 (checklist 9, 24)`, () => {
      const { message } = replyOf(ask({ network, nodes: [node(firmware)] }, from(firmware)));
      const { options } = message;
      assert.deepEqual(options.get(OPTION.messageType), hex('02'));
      assert.deepEqual(options.get(OPTION.serverIdentifier), hex('c0a8ac01'));
      assert.deepEqual(options.get(OPTION.vendorClass), textBytes('PXEClient'));
      assert.deepEqual(
        options.get(OPTION.clientMachineId),
        from(firmware).options.get(OPTION.clientMachineId),
      );
      assert.ok(options.has(OPTION.vendorSpecific));
      assert.deepEqual([message.file, options.has(OPTION.bootfileName)], ['', false]);
    });
  }
}

test('a REQUEST without option 60 and without a parameter list is acknowledged with 1, 3, 51 and 54 (checklist 22)', () => {
  const offer = replyOf(ask({ nodes: [node(PI4)] }, from(PI4)));
  const leases = offer.leaseChanges.flatMap((change) => (change.kind === 'put' ? [change.lease] : []));
  const { yiaddr } = offer.message;
  const bare = plain('request', { chaddr: MAC }, [
    [OPTION.serverIdentifier, hex('c0a8ac01')],
    [OPTION.requestedIpAddress, Uint8Array.from(yiaddr.split('.'), Number)],
  ]);
  const ack = replyOf(ask({ nodes: [node(PI4)], leases }, bare));
  assert.deepEqual([ack.type, ack.message.yiaddr], ['ack', yiaddr]);
  for (const code of [1, 3, 51, 54]) assert.ok(ack.message.options.has(code), `option ${code}`);
});

for (const firmware of FIRMWARES) {
  test(`${firmware.name} takes the offer of another server: no word from us (checklist 23)`, () => {
    const request = from(firmware, 'request', [
      [OPTION.serverIdentifier, hex('c0a8ac02')],
      [OPTION.requestedIpAddress, hex('c0a8ac67')],
    ]);
    assert.notEqual(ask({ nodes: [node(firmware)] }, request).kind, 'reply');
    assert.equal(ask({ network: PROXY, nodes: [node(firmware)] }, request).kind, 'ignore');
  });
}

for (const network of [FULL, PROXY]) {
  test(`a 3B’s ROM tries five times: each DISCOVER is answered, ${network.dhcp} (checklist 2)`, () => {
    const leases = new MemoryLeases();
    const view = viewOf({ network, nodes: [node(ROM3)] });
    for (let attempt = 0; attempt < 5; attempt++) {
      const reply = replyOf(decide(from(ROM3), ARRIVAL, view, leases, NOW + attempt * 5000));
      leases.apply(reply.leaseChanges);
      assert.equal(reply.message.xid, 0x26f30339);
    }
  });

  test(`two Pi 3 that ask at one time with the one xid they all use: each is answered as itself, ${network.dhcp} (checklist 2)`, () => {
    const leases = new MemoryLeases();
    const view = viewOf({ network, nodes: [node(ROM3), node(ROM3_PLUS)] });
    const replies = [from(ROM3), from(ROM3_PLUS), from(ROM3)].map((message) => {
      const reply = replyOf(decide(message, ARRIVAL, view, leases, NOW));
      leases.apply(reply.leaseChanges);
      assert.equal(reply.message.chaddr, message.chaddr);
      assert.equal(reply.message.xid, message.xid);
      return reply.message.yiaddr;
    });
    assert.equal(replies[0], replies[2]);
    if (network === FULL) assert.notEqual(replies[0], replies[1]);
  });
}

test('pads between the options, options in file and sname, and a relay’s 82: read all the same (checklist 8)', () => {
  const [head, options] = [PI5.bytes.subarray(0, 236), PI5.bytes.subarray(240)];
  const bytes = Uint8Array.of(
    ...head,
    ...hex('63825363'),
    0,
    0,
    0x34,
    1,
    3,
    0,
    0,
    ...options.subarray(0, 19),
  );
  // 93, 94 and 97 move to `file`, 60 to `sname`.
  const rest = options.subarray(19);
  const [inFile, inSname] = [rest.subarray(0, 4 + 5 + 19), rest.subarray(4 + 5 + 19)];
  const whole = new Uint8Array([...bytes, 0x52, 4, 1, 2, 0, 7, 0, 255]);
  whole.set([...inFile, 255], 108);
  whole.set(inSname, 44);
  const message = { ...decodeMessage(whole), giaddr: ip('192.168.172.2') };
  assert.deepEqual(classify(message), { kind: 'pi', model: 'pi5', serial: PI5.serial });
  const reply = replyOf(ask({ nodes: [node(PI5)] }, message));
  assert.deepEqual(reply.message.options.get(OPTION.relayAgentInformation), hex('0102 0007'));
});

test('a Pi of a maker’s prefix that the configuration names, option 97 its owner’s (checklist 7)', () => {
  const chaddr = mac('02:11:22:00:00:01');
  const pxe = plain('discover', { chaddr }, [vendor('PXEClient:Arch:00000:UNDI:002001'), [93, hex('0000')]]);
  const policy = { unknown: 'hold', ouis: new Map([['02:11:22', 'pi5']]) } satisfies World['policy'];
  assert.equal(ask({ policy }, pxe).sighting?.machine, 'Pi 5');
  assert.notEqual(ask({}, pxe).sighting?.machine, 'Pi 5');
});

test('each interface has its own 54, siaddr and 66 (checklist 28)', () => {
  const other = {
    ...FULL,
    interface: 'rack1',
    address: ip('10.5.0.1'),
    subnet: { network: ip('10.5.0.0'), prefix: 24 },
    pool: { first: ip('10.5.0.100'), last: ip('10.5.0.109') },
    router: ip('10.5.0.254'),
  };
  const told = ['rack0', 'rack1'].map((name) => {
    const { message } = replyOf(
      ask({ networks: [other], nodes: [node(PI4)] }, from(PI4), { interface: name }),
    );
    const text = (code: number) => asciiFromBytes(message.options.get(code) ?? hex(''));
    return [message.siaddr, text(OPTION.tftpServerName), [...(message.options.get(54) ?? [])].join('.')];
  });
  assert.deepEqual(told, [
    [SERVER, SERVER, SERVER],
    ['10.5.0.1', '10.5.0.1', '10.5.0.1'],
  ]);
});

test('an offer is on the disk first where its Pi never asks again, and in memory alone where it must (checklist 20)', () => {
  const isVolatile = (nodes: World['nodes']) =>
    FIRMWARES.map((firmware) => {
      const [change] = replyOf(ask({ nodes: nodes ?? [] }, from(firmware))).leaseChanges;
      return change?.kind === 'put' && change.volatile === true;
    });
  assert.deepEqual(isVolatile(FIRMWARES.map((firmware) => node(firmware))), [false, false, true, true]);
  // Nobody tells a Pi that was not added where to boot from, so it uses no address; a flood of them must not last.
  assert.deepEqual(isVolatile([]), [true, true, true, true]);
});

test('the delay of a 3B’s ROM is a person’s to set, and nobody else’s reply is held back (checklist 19)', () => {
  const network = { ...FULL, romDelayMs: 2000 };
  const delays = FIRMWARES.map(
    (firmware) => replyOf(ask({ network, nodes: [node(firmware)] }, from(firmware))).delayMs,
  );
  assert.deepEqual(delays, [2000, 0, 0, 0]);
  const none = { ...PROXY, romDelayMs: 0 };
  assert.equal(replyOf(ask({ network: none, nodes: [node(ROM3)] }, from(ROM3))).delayMs, 0);
});
