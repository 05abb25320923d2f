import { ARP_REPLY, ARP_REQUEST, BROADCAST_MAC, FrameReader, UdpWriter, writeArp } from '../src/net/frame.ts';
import { type Ipv4, ipv4FromNumber, ipv4ToNumber } from '../src/net/ipv4.ts';
import { type Mac, macFromBytes } from '../src/net/mac.ts';
import { FrameSocket } from './frame-socket.ts';

export interface ReadersOptions {
  readonly interface: string;
  readonly server: Ipv4;
  readonly port: number;
  /** Address of the first client; the others follow. All are on the server's subnet and nobody else's. */
  readonly firstAddress: Ipv4;
  readonly file: string;
  readonly clients: number;
  readonly blockSize: number;
  readonly windowSize: number;
  /** What the file holds: every byte received is compared. */
  readonly expected: Buffer;
  /** No transfer starts after so many seconds; those that run then run to their end. */
  readonly seconds: number;
  /** No transfer starts after so many. */
  readonly transfers: number;
}

export interface ReadersReport {
  readonly failures: number;
  /** Why transfers failed, each reason once with its count. */
  readonly reasons: Readonly<Record<string, number>>;
  readonly wrongBytes: number;
  readonly retransmittedRequests: number;
  /** A client heard nothing for a second, and asked or acknowledged again. */
  readonly timeouts: number;
  /** Blocks that came too early because one before them was lost, and blocks that came twice. */
  readonly early: number;
  readonly duplicates: number;
  readonly seconds: number;
  readonly bytes: number;
  readonly packets: number;
  /** Milliseconds of each transfer, from its request to its last block. */
  readonly times: readonly number[];
}

const RETRY_MS = 1_000;
const MAX_RETRIES = 10;
const TICK_MS = 100;
const WAIT_MS = 20;
const DATA_HEADER = 4;

const OPCODE = { data: 3, ack: 4, error: 5, oack: 6 } as const;

interface Client {
  readonly address: Ipv4;
  readonly mac: Mac;
  port: number;
  /** To the server's port of this transfer, once it is known. */
  writer: UdpWriter;
  serverPort: number;
  isRunning: boolean;
  blockSize: number;
  windowSize: number;
  /** The block expected next; it does not roll over. */
  next: number;
  /** Blocks since the last ACK. */
  unacknowledged: number;
  /** Whether the server was told of the block that is missing (RFC 7440: once). */
  isGapTold: boolean;
  retries: number;
  startedAt: number;
  heardAt: number;
}

/**
 * Many TFTP readers in one thread over one packet socket. Each has an address and a MAC of its own, so that one system
 * call takes what the server sent to all of them, and what they answer leaves by another. RFC 1350, 2347 to 2349, 7440.
 */
export class TftpReaders {
  readonly #options: ReadersOptions;
  readonly #socket: FrameSocket;
  readonly #reader = new FrameReader();
  readonly #clients: Client[];
  readonly #firstAddress: number;
  readonly #serverAddress: number;
  #serverMac: Mac | undefined;
  readonly #ack = Buffer.from([0, OPCODE.ack, 0, 0]);
  readonly #times: number[] = [];
  readonly #reasons: Record<string, number> = {};
  #now = 0;
  #stopAt = 0;
  #started = 0;
  #finished = 0;
  readonly #sum = {
    ...{ wrongBytes: 0, retransmittedRequests: 0, timeouts: 0, early: 0, duplicates: 0 },
    ...{ bytes: 0, packets: 0 },
  };

  constructor(options: ReadersOptions) {
    this.#options = options;
    this.#socket = new FrameSocket(options.interface, WAIT_MS);
    this.#firstAddress = ipv4ToNumber(options.firstAddress);
    this.#serverAddress = ipv4ToNumber(options.server);
    this.#clients = Array.from({ length: options.clients }, (_, index) => this.#makeClient(index));
  }

  /** Runs the transfers to their end; blocks this thread meanwhile. @throws Error when the server has no address. */
  run(): ReadersReport {
    this.#findServer();
    const startedAt = performance.now();
    this.#now = startedAt;
    this.#stopAt = startedAt + this.#options.seconds * 1e3;
    for (const client of this.#clients) if (this.#mayStart()) this.#start(client);
    this.#socket.flush();
    for (let tickAt = startedAt + TICK_MS; this.#finished < this.#started; ) {
      this.#receive();
      if (this.#now >= tickAt) {
        tickAt = this.#now + TICK_MS;
        for (const client of this.#clients) this.#retryIfSilent(client);
      }
      this.#socket.flush();
    }
    const failures = this.#finished - this.#times.length;
    const seconds = (performance.now() - startedAt) / 1e3;
    return { ...this.#sum, failures, reasons: this.#reasons, seconds, times: this.#times };
  }

  #makeClient(index: number): Client {
    const address = ipv4FromNumber(this.#firstAddress + index);
    const mac = macFromBytes(Uint8Array.of(2, 0x6c, 0, 0, index >> 8, index));
    const path = { sourceMac: mac, destinationMac: BROADCAST_MAC, source: address, destination: address };
    return {
      ...{ address, mac, port: 0, serverPort: 0, isRunning: false, blockSize: 512, windowSize: 1 },
      ...{ next: 1, unacknowledged: 0, isGapTold: false, retries: 0, startedAt: 0, heardAt: 0 },
      writer: new UdpWriter({ ...path, sourcePort: 0, destinationPort: 0 }),
    };
  }

  #findServer(): void {
    const [first] = this.#clients;
    if (!first) throw new Error('no clients');
    const { server } = this.#options;
    for (let attempt = 0; attempt < 100 && !this.#serverMac; attempt++) {
      const arp = { operation: ARP_REQUEST, senderMac: first.mac, sender: first.address } as const;
      this.#socket.commit(
        writeArp(this.#socket.slot, { ...arp, destinationMac: BROADCAST_MAC, target: server }),
      );
      this.#socket.flush();
      this.#receive();
    }
    if (!this.#serverMac) throw new Error(`${server} does not answer ARP`);
  }

  #receive(): void {
    const count = this.#socket.receive();
    this.#now = performance.now();
    for (let index = 0; index < count; index++) {
      const frame = this.#socket.frame(index);
      const kind = this.#reader.read(frame, this.#socket.length(index));
      if (kind === 'udp') this.#onDatagram(frame);
      else if (kind === 'arp') this.#onArp(frame);
    }
  }

  #onArp(frame: Buffer): void {
    const { arpOperation, source, destination } = this.#reader;
    const mac = macFromBytes(frame.subarray(22, 28));
    if (arpOperation === ARP_REPLY && source === this.#serverAddress) this.#serverMac = mac;
    const client = this.#clients[destination - this.#firstAddress];
    if (arpOperation !== ARP_REQUEST || !client) return;
    const reply = { operation: ARP_REPLY, senderMac: client.mac, sender: client.address } as const;
    const target = ipv4FromNumber(source);
    this.#socket.commit(writeArp(this.#socket.slot, { ...reply, destinationMac: mac, target }));
  }

  #onDatagram(frame: Buffer): void {
    const { source, sourcePort, destination, destinationPort, payloadStart, payloadLength } = this.#reader;
    const client = this.#clients[destination - this.#firstAddress];
    if (!client?.isRunning || client.port !== destinationPort) return;
    if (source !== this.#serverAddress || payloadLength < DATA_HEADER) return;
    if (client.serverPort === 0) this.#turnTo(client, sourcePort);
    else if (client.serverPort !== sourcePort) return; // the answer to a request that was sent twice
    client.heardAt = this.#now;
    client.retries = 0;
    const end = payloadStart + payloadLength;
    const opcode = frame.readUInt16BE(payloadStart);
    if (opcode === OPCODE.data) this.#onData(client, frame, payloadStart + DATA_HEADER, end);
    else if (opcode === OPCODE.oack) this.#onOack(client, frame.toString('latin1', payloadStart + 2, end));
    else if (opcode === OPCODE.error)
      this.#finish(client, frame.toString('latin1', payloadStart + DATA_HEADER, end - 1));
  }

  #onOack(client: Client, text: string): void {
    if (client.next !== 1) return;
    const fields = text.split('\0');
    for (let at = 0; at + 1 < fields.length; at += 2) {
      const name = fields[at]?.toLowerCase();
      if (name === 'blksize') client.blockSize = Number(fields[at + 1]);
      if (name === 'windowsize') client.windowSize = Number(fields[at + 1]);
    }
    this.#acknowledge(client);
  }

  #onData(client: Client, frame: Buffer, from: number, end: number): void {
    this.#sum.packets += 1;
    const ahead = (frame.readUInt16BE(from - 2) - client.next) & 0xffff;
    if (ahead !== 0) {
      this.#onUnexpected(client, ahead);
      return;
    }
    const { expected } = this.#options;
    const size = end - from;
    const offset = (client.next - 1) * client.blockSize;
    const isRight =
      offset + size <= expected.length && expected.compare(frame, from, end, offset, offset + size) === 0;
    if (!isRight) {
      this.#sum.wrongBytes += size;
      this.#finish(client, `wrong bytes in block ${client.next}`);
      return;
    }
    this.#sum.bytes += size;
    client.next += 1;
    client.unacknowledged += 1;
    client.isGapTold = false;
    const isLast = size < client.blockSize;
    if (isLast || client.unacknowledged >= client.windowSize) this.#acknowledge(client);
    if (isLast) this.#finish(client, offset + size === expected.length ? undefined : 'the file ended early');
  }

  #onUnexpected(client: Client, ahead: number): void {
    if (ahead >= 0x8000) this.#sum.duplicates += 1;
    else {
      this.#sum.early += 1;
      if (client.isGapTold) return;
      client.isGapTold = true;
      this.#acknowledge(client);
    }
  }

  #acknowledge(client: Client): void {
    client.unacknowledged = 0;
    this.#ack.writeUInt16BE((client.next - 1) & 0xffff, 2);
    this.#socket.commit(client.writer.write(this.#socket.slot, this.#ack));
  }

  #mayStart(): boolean {
    return this.#now < this.#stopAt && this.#started < this.#options.transfers;
  }

  /** Every transfer has a port of its own (TID): nothing of the one before can be taken for its. */
  #start(client: Client): void {
    this.#started += 1;
    const fresh = { isRunning: true, serverPort: 0, blockSize: 512, windowSize: 1 };
    const times = { startedAt: this.#now, heardAt: this.#now };
    Object.assign(client, fresh, times, { next: 1, unacknowledged: 0, isGapTold: false, retries: 0 });
    client.port = 1_024 + ((client.port + 1) % 60_000);
    this.#turnTo(client, this.#options.port);
    client.serverPort = 0;
    this.#request(client);
  }

  #turnTo(client: Client, port: number): void {
    client.serverPort = port;
    client.writer = new UdpWriter({
      ...{ sourceMac: client.mac, source: client.address, sourcePort: client.port },
      ...{ destinationMac: this.#serverMac as Mac, destination: this.#options.server, destinationPort: port },
      checksum: false,
    });
  }

  #request(client: Client): void {
    const { file, blockSize, windowSize } = this.#options;
    const window = windowSize > 1 ? `windowsize\0${windowSize}\0` : '';
    const request = Buffer.from(
      `\0\x01${file}\0octet\0tsize\x000\0blksize\0${blockSize}\0${window}`,
      'latin1',
    );
    this.#socket.commit(client.writer.write(this.#socket.slot, request));
  }

  #retryIfSilent(client: Client): void {
    if (!client.isRunning || this.#now - client.heardAt < RETRY_MS) return;
    client.heardAt = this.#now;
    client.retries += 1;
    this.#sum.timeouts += 1;
    if (client.retries > MAX_RETRIES) this.#finish(client, 'the server fell silent');
    else if (client.serverPort !== 0) this.#acknowledge(client);
    else {
      this.#sum.retransmittedRequests += 1;
      this.#request(client);
    }
  }

  #finish(client: Client, reason: string | undefined): void {
    client.isRunning = false;
    this.#finished += 1;
    if (reason === undefined) this.#times.push(this.#now - client.startedAt);
    else this.#reasons[reason] = (this.#reasons[reason] ?? 0) + 1;
    if (this.#mayStart()) this.#start(client);
  }
}
