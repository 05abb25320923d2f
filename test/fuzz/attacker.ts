import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setImmediate as turn } from 'node:timers/promises';
import { OPTION } from '../../src/dhcp/options.ts';
import { encodeMessage } from '../../src/dhcp/packet.ts';
import { PacketSocket } from '../../src/host/packet-socket.ts';
import { openUdp } from '../../src/host/udp.ts';
import { ARP_REPLY, ARP_REQUEST, FrameReader, writeArp } from '../../src/net/frame.ts';
import { type Ipv4, ipv4FromNumber, ipv4ToBytes, ipv4ToNumber, UNSPECIFIED } from '../../src/net/ipv4.ts';
import { type Mac, macFromBytes, macToBytes } from '../../src/net/mac.ts';
import {
  type AttackCounts,
  type AttackOrder,
  type AttackReport,
  type AttackTask,
  decodeDump,
  encodeDump,
  type SentPacket,
} from './attack.ts';
import { DHCP_REQUESTS, HTTP_REQUESTS, TFTP_REQUESTS, TFTP_TRANSFER } from './corpus.ts';
import { mutate } from './mutate.ts';
import { Random } from './random.ts';
import { mutateOptions, mutateTexts } from './structure.ts';
import { writeForged } from './udp-frame.ts';

/**
 * A program: one ill-willed machine in this network namespace. `attacker.ts TASK`, the task as JSON. It sends
 * mutated datagrams as whole frames, so that it may say it is anybody; it answers ARP for those it plays, listens to
 * what comes back, and goes on from there: into the transfers it was given, and after the offers it was made.
 */
const task = JSON.parse(process.argv[2] as string) as AttackTask;
const random = new Random(task.seed);
const sent: AttackCounts = { dhcp: 0, pxe: 0, rival: 0, tftp: 0, transfer: 0, extreme: 0, http: 0 };
let { rate } = task;
let isStopped = false;
let heard = 0;
let transfers = 0;
let offers = 0;

const BROADCAST = 0xffffffff;
const BROADCAST_MAC = new Uint8Array(6).fill(0xff);
const FIXTURES = join(import.meta.dirname, 'fixtures/wire');

/** Whom it plays: addresses of the network that are in no pool and nobody's, .200 to .249. */
const FACES = { first: 200, count: 50 };

const wires = task.wires.map((wire) => {
  const socket = new PacketSocket(wire.interface, { receiveFrames: 4096 });
  const server = ipv4ToNumber(wire.server as Ipv4);
  return {
    ...{ ...wire, socket, server },
    network: (server & 0xffffff00) >>> 0,
    serverMac: macToBytes(wire.serverMac as Mac),
    ownMac: macToBytes(socket.mac),
  };
});
type Wire = (typeof wires)[number];

const face = ({ network }: Wire): number => network + FACES.first + random.below(FACES.count);
const isFace = ({ network }: Wire, address: number): boolean =>
  address >= network + FACES.first && address < network + FACES.first + FACES.count;

/** What was sent last, for a look at what did harm. */
const LATEST = 4096;
const latest: SentPacket[] = [];
let latestAt = 0;

/** The transfers it was given: at the server's port, for the client it played. */
interface Transfer {
  readonly wire: Wire;
  readonly port: number;
  readonly client: number;
  readonly clientPort: number;
  block: number;
}
const running: Transfer[] = [];
const OFFERS = 64;
const madeOffers: Uint8Array[] = [];

function send(
  kind: keyof AttackCounts,
  wire: Wire,
  port: number,
  payload: Uint8Array,
  source: number,
  sourcePort: number,
  destination = wire.server,
): void {
  const destinationMac = destination === BROADCAST ? BROADCAST_MAC : wire.serverMac;
  const from = { sourceMac: wire.ownMac, source, sourcePort };
  const path = { ...from, destinationMac, destination, destinationPort: port };
  const { socket } = wire;
  socket.commit(writeForged(socket.slot, path, payload, random.oneIn(64) ? random : undefined));
  sent[kind]++;
  latest[latestAt++ % LATEST] = { port, payload };
}

/** A client of its own for each, else all would be one machine. */
function withOwnMac(message: Uint8Array): Uint8Array {
  if (message.length >= 34 && !random.oneIn(4)) {
    const at = random.oneIn(2) ? 31 : 32;
    for (let index = at; index < 34; index++) message[index] = random.below(256);
  }
  return message;
}

function sendDhcp(wire: Wire): void {
  const seeds = madeOffers.length > 0 && random.oneIn(3) ? madeOffers : DHCP_REQUESTS;
  const seed = random.pick(seeds);
  const mutant = random.oneIn(2)
    ? mutateOptions(seed, random, DHCP_REQUESTS)
    : mutate(seed, random, DHCP_REQUESTS);
  const payload = withOwnMac(mutant);
  const isPxe = wire.mode === 'proxy' && random.oneIn(2);
  const source = random.oneIn(3) ? 0 : face(wire);
  const destination = random.oneIn(2) ? BROADCAST : wire.server;
  const sourcePort = random.pick([68, 67, 4011]);
  send(isPxe ? 'pxe' : 'dhcp', wire, isPxe ? 4011 : 67, payload, source, sourcePort, destination);
}

/** Plays DHCP servers, each message another one: an OFFER or ACK of any address, or what is nearly one. */
function sendRival(wire: Wire): void {
  const whole = Buffer.from(
    encodeMessage({
      ...{
        op: 2,
        htype: 1,
        hops: 0,
        xid: random.below(2 ** 32),
        secs: 0,
        flags: 0x8000,
        sname: '',
        file: '',
      },
      ...{ ciaddr: UNSPECIFIED, siaddr: UNSPECIFIED, giaddr: UNSPECIFIED, chaddr: wire.socket.mac },
      yiaddr: ipv4FromNumber(face(wire)),
      options: new Map([
        [OPTION.messageType, Uint8Array.of(random.pick([2, 2, 2, 5, 6]))],
        [OPTION.serverIdentifier, ipv4ToBytes(ipv4FromNumber(1 + random.below(2 ** 32 - 2)))],
      ]),
    }),
  );
  const payload = random.oneIn(4) ? mutate(whole, random, DHCP_REQUESTS) : whole;
  send('rival', wire, 68, payload, face(wire), 67, BROADCAST);
}

function sendTftp(wire: Wire): void {
  const seed = random.pick(TFTP_REQUESTS);
  const payload = random.oneIn(2) ? mutateTexts(seed, random) : mutate(seed, random, TFTP_REQUESTS);
  // Now and then from an address that is never there, or that nothing can be sent to.
  const odd = random.pick([0x0a000001, 0x7f000001, BROADCAST, 0, wire.server]);
  const source = random.oneIn(16) ? odd : face(wire);
  send('tftp', wire, 69, payload, source, random.oneIn(64) ? 0 : 1024 + random.below(60_000));
}

/** Mostly to a transfer it was given, from its own client or somebody else; else to any high port. */
function sendToTransfer(any: Wire): void {
  const transfer = running.length > 0 && !random.oneIn(8) ? random.pick(running) : undefined;
  const { block = 0, wire = any } = transfer ?? {};
  const ack = Uint8Array.of(0, 4, block >> 8, block & 0xff);
  const seed = random.oneIn(2) ? ack : random.pick(TFTP_TRANSFER);
  const payload = random.oneIn(2) ? ack : mutate(seed, random, TFTP_TRANSFER);
  const isClient = transfer !== undefined && !random.oneIn(4);
  const port = transfer?.port ?? 32_768 + random.below(28_232);
  const [source, sourcePort] = isClient
    ? [transfer.client, transfer.clientPort]
    : [face(wire), 1024 + random.below(60_000)];
  send('transfer', wire, port, payload, source, sourcePort);
}

const reader = new FrameReader();
function hear(wire: Wire, frame: Buffer, length: number): void {
  const { socket, server } = wire;
  const kind = reader.read(frame, length);
  if (kind === 'arp' && reader.arpOperation === ARP_REQUEST && isFace(wire, reader.destination)) {
    const target = ipv4FromNumber(reader.source);
    const senderMac = socket.mac;
    const destinationMac = macFromBytes(frame.subarray(6));
    const sender = ipv4FromNumber(reader.destination);
    socket.commit(writeArp(socket.slot, { operation: ARP_REPLY, senderMac, sender, destinationMac, target }));
    return;
  }
  if (kind !== 'udp' || reader.source !== server) return;
  heard++;
  const payload = frame.subarray(reader.payloadStart, reader.payloadStart + reader.payloadLength);
  if (reader.destinationPort === 68 || reader.sourcePort === 4011) hearOffer(payload);
  else if (isFace(wire, reader.destination)) hearTransfer(wire, payload);
}

/** An OFFER becomes the REQUEST for it, to be mutated in its turn. */
function hearOffer(payload: Buffer): void {
  if (payload.length < 244 || random.below(8) > 0) return;
  offers++;
  const request = Buffer.from(payload);
  request[0] = 1;
  const type = request.indexOf(Uint8Array.of(53, 1, 2), 240);
  if (type < 0) return;
  request[type + 2] = random.pick([3, 3, 3, 4, 7, 8]);
  const wanted = Uint8Array.of(50, 4, ...payload.subarray(16, 20), 255);
  const end = request.indexOf(255, type);
  madeOffers[random.below(OFFERS) % (madeOffers.length + 1)] = Buffer.concat([
    request.subarray(0, end),
    wanted,
  ]);
}

function hearTransfer(wire: Wire, payload: Buffer): void {
  const opcode = payload.length >= 4 ? payload.readUInt16BE(0) : 0;
  const { sourcePort: port, destination: client, destinationPort: clientPort } = reader;
  if (opcode === 5) return;
  const block = opcode === 3 ? payload.readUInt16BE(2) : 0;
  const known = running.find(
    (each) => each.port === port && each.clientPort === clientPort && each.client === client,
  );
  if (known) {
    known.block = block;
    return;
  }
  transfers++;
  running.push({ wire, port, client, clientPort, block });
  if (running.length > 64) running.shift();
}

/** What no single frame carries, by the kernel of this machine. */
const jumbos = await Promise.all(
  task.wires.map(({ interface: name }) => openUdp({ interface: name, port: 0 })),
);
for (const jumbo of jumbos) jumbo.on('error', () => {});
const JUMBO = new Uint8Array(65_507);

/** Nothing at all, or as much as a datagram holds. */
function sendExtreme(wire: Wire): void {
  const port = random.pick([67, wire.mode === 'proxy' ? 4011 : 67, 69]);
  if (random.oneIn(2)) {
    send('extreme', wire, port, new Uint8Array(), face(wire), 1024 + random.below(60_000));
    return;
  }
  const seed = random.pick([...DHCP_REQUESTS, ...TFTP_REQUESTS]);
  for (let at = 0; at < JUMBO.length; at += seed.length) JUMBO.set(seed.subarray(0, JUMBO.length - at), at);
  JUMBO.fill(random.below(256), seed.length, random.below(JUMBO.length));
  jumbos[wires.indexOf(wire)]?.send(JUMBO, port, ipv4FromNumber(wire.server), () => {});
  sent.extreme++;
}

/** Some connections at a time; some never end their request, and are cut off by the server or, late, by us. */
let connections = 0;
function attackHttp({ server }: Wire, port: number): void {
  if (connections >= 16) return;
  connections++;
  sent.http++;
  const bytes = mutate(random.pick(HTTP_REQUESTS), random, HTTP_REQUESTS, 16_384);
  const client = connect({ host: ipv4FromNumber(server), port });
  client.setTimeout(random.oneIn(8) ? 2_000 : 300, () => client.destroy());
  client.on('connect', () => client.write(bytes));
  client.on('data', () => random.oneIn(4) && client.destroy());
  client.on('error', () => {});
  client.on('close', () => connections--);
}

/** What once did harm comes first. */
for (const file of globSync('*.bin', { cwd: FIXTURES })) {
  for (const { port, payload } of decodeDump(readFileSync(join(FIXTURES, file)))) {
    for (const wire of wires) send('dhcp', wire, port, payload, face(wire), 1024 + random.below(60_000));
  }
}

const report = (isOver = false): void =>
  console.log(JSON.stringify({ sent, heard, transfers, offers, isOver } satisfies AttackReport));
createInterface({ input: process.stdin }).on('line', (line) => {
  const order = JSON.parse(line) as AttackOrder;
  if ('rate' in order) rate = order.rate;
  else if ('dump' in order) {
    const inOrder = [...latest.slice(latestAt % LATEST), ...latest.slice(0, latestAt % LATEST)];
    writeFileSync(order.dump, encodeDump(inOrder));
  } else isStopped = true;
});

const total = (): number => Object.values(sent).reduce((sum, count) => sum + count, 0);
let allowance = 0;
let nextReport = 0;
for (let last = performance.now(); !isStopped && total() < task.packets; ) {
  const now = performance.now();
  allowance = Math.min(allowance + ((now - last) * rate) / 1000, 1_000);
  last = now;
  for (; allowance >= 1; allowance--) {
    const choice = random.below(1000);
    const wire = random.pick(wires);
    if (choice < 370) sendDhcp(wire);
    else if (choice < 420) sendRival(wire);
    else if (choice < 700) sendTftp(wire);
    else if (choice < 998) sendToTransfer(wire);
    else sendExtreme(wire);
  }
  if (task.httpPort !== undefined) attackHttp(random.pick(wires), task.httpPort);
  for (const wire of wires) {
    wire.socket.flush();
    wire.socket.receive((frame, length) => hear(wire, frame, length));
  }
  if (running.length > 0 && random.oneIn(200)) running.splice(random.below(running.length), 1);
  if (now > nextReport) {
    nextReport = now + 500;
    report();
  }
  if (allowance < 8) wires[0]?.socket.wait(1);
  await turn();
}
report(true);
process.exit(0);
