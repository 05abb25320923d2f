import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { MESSAGE_TYPE, type MessageType, OPTION, readMessageType } from '../../src/dhcp/options.ts';
import { type DhcpMessage, decodeMessage, encodeMessage } from '../../src/dhcp/packet.ts';
import { type Ipv4, ipv4ToBytes } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import { parseSerial } from '../../src/net/serial.ts';
import { boardOf } from '../../src/sim/board.ts';
import { obtainLease } from '../../src/sim/dhcp-client.ts';
import { type DhcpPersonality, eepromPersonality, romPersonality } from '../../src/sim/dhcp-personality.ts';
import type { FirmwareEvent } from '../../src/sim/firmware-event.ts';
import { Inbox } from '../../src/sim/inbox.ts';

const serial = parseSerial('9ffefdef');
const PI4 = eepromPersonality(boardOf({ model: 'pi4', serial }), 0xcafe0001);
const ROM3B = romPersonality(boardOf({ model: 'pi3', serial, rom: '3b' }));
const SERVER = '127.0.0.1' as Ipv4;
const ADDRESS = '10.0.0.50' as Ipv4;

type Answer = (heard: MessageType, nth: number, message: DhcpMessage) => (DhcpMessage | Uint8Array)[];

function reply(to: DhcpMessage, type: MessageType, more: Partial<DhcpMessage> = {}): DhcpMessage {
  const options = new Map<number, Uint8Array>([
    [OPTION.messageType, Uint8Array.of(MESSAGE_TYPE[type])],
    [OPTION.serverIdentifier, ipv4ToBytes(SERVER)],
  ]);
  if (type === 'offer') {
    options.set(OPTION.subnetMask, ipv4ToBytes('255.255.252.0' as Ipv4));
    options.set(OPTION.router, ipv4ToBytes('10.0.0.1' as Ipv4));
    options.set(OPTION.vendorSpecific, Buffer.from('Raspberry Pi Boot   '));
  }
  return { ...to, op: 2, yiaddr: ADDRESS, options, ...more };
}

async function exchange(personality: DhcpPersonality, answer: Answer, timeScale = 0.01) {
  const [client, server] = await Promise.all([open(), open()]);
  const heard: MessageType[] = [];
  const events: FirmwareEvent[] = [];
  server.on('message', (bytes, { port }) => {
    const message = decodeMessage(bytes);
    const type = readMessageType(message.options) as MessageType;
    for (const given of answer(type, heard.push(type), message))
      server.send(given instanceof Uint8Array ? given : encodeMessage(given), port, SERVER);
  });
  const serverPort = server.address().port;
  try {
    const lease = await obtainLease(personality, {
      broadcast: (bytes) => client.send(bytes, serverPort, SERVER),
      inbox: Inbox.of(client),
      report: (event) => events.push(event),
      timeScale,
    });
    return { lease, heard, events };
  } catch (error) {
    return { error: error as Error, heard, events };
  } finally {
    client.close();
    server.close();
  }
}

async function open(): Promise<Socket> {
  const socket = createSocket('udp4');
  socket.bind(0, SERVER);
  await once(socket, 'listening');
  return socket;
}

const fourWay: Answer = (type, _, message) => [reply(message, type === 'discover' ? 'offer' : 'ack')];

test('DISCOVER, OFFER, REQUEST, ACK; what the ACK leaves out is taken from the OFFER', async () => {
  const { lease, heard } = await exchange(PI4, fourWay);
  assert.deepEqual(heard, ['discover', 'request']);
  assert.deepEqual(lease, { address: ADDRESS, prefix: 22, router: '10.0.0.1', tftpServer: SERVER });
});

test('a Pi 3 takes the offered address without a REQUEST, and a warning says when the answer came too fast for its ROM', async () => {
  const { lease, heard, events } = await exchange(ROM3B, fourWay);
  assert.deepEqual(heard, ['discover']);
  assert.equal(lease?.address, ADDRESS);
  assert.ok(events.some((event) => event.kind === 'note' && /raspberrypi\/firmware#934/.test(event.text)));
});

test('a NAK starts it over', async () => {
  const answer: Answer = (type, nth, message) => [
    reply(message, type === 'discover' ? 'offer' : nth < 3 ? 'nak' : 'ack'),
  ];
  const { lease, heard } = await exchange(PI4, answer);
  assert.deepEqual(heard, ['discover', 'request', 'discover', 'request']);
  assert.equal(lease?.address, ADDRESS);
});

test('a lost ACK: the REQUEST is sent again', async () => {
  const { heard } = await exchange(PI4, (type, nth, message) =>
    nth === 2 ? [] : fourWay(type, nth, message),
  );
  assert.deepEqual(heard, ['discover', 'request', 'request']);
});

test('no ACK at all: it fails when DHCP_TIMEOUT is over', async () => {
  const { error, heard } = await exchange(PI4, (type, nth, message) =>
    type === 'discover' ? fourWay(type, nth, message) : [],
  );
  assert.match(String(error), /127\.0\.0\.1 offered 10\.0\.0\.50 but did not acknowledge it within 45 s/);
  assert.ok(heard.length >= 10 && heard.length <= 14, `${heard.length} packets, one every 4 s`);
});

test('another board’s replies, another exchange’s and what is no DHCP are passed over', async () => {
  const answer: Answer = (type, nth, message) =>
    nth === 1
      ? [
          Buffer.from('not DHCP'),
          reply(message, 'offer', { xid: 1 }),
          reply(message, 'offer', { chaddr: 'dc:a6:32:00:00:09' as Mac }),
          reply(message, 'offer', { op: 1 }),
        ]
      : fourWay(type, nth, message);
  const { heard } = await exchange(PI4, answer);
  assert.deepEqual(heard, ['discover', 'discover', 'request']);
});

test('a 3B’s ROM sends five DISCOVERs and is dead then', async () => {
  const { error, heard } = await exchange(ROM3B, () => []);
  assert.match(String(error), /within 25 s: no DHCP server answered \(it stays dead/);
  assert.ok(heard.length >= 5 && heard.length <= 6, `${heard.length} DISCOVERs`);
});
