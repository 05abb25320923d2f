import dgram from 'node:dgram';
import { once } from 'node:events';
import { engineHost } from '../../src/host/engine-host.ts';
import type { BootFile, OpenBootFile } from '../../src/model/boot-file.ts';
import { silentLog } from '../../src/model/log.ts';
import { Warnings } from '../../src/model/warnings.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { TftpLimits } from '../../src/tftp/limits.ts';
import { decodePacket, encodePacket, type TftpPacket } from '../../src/tftp/packet.ts';
import { startTftpServer, type TftpServer, type TftpServerOptions } from '../../src/tftp/server.ts';

const HOST = '127.0.0.1' as Ipv4;

/** It does not keep the process alive: a test that fails half-way ends instead of hanging. */
export async function openSocket(address: string = HOST): Promise<dgram.Socket> {
  const socket = dgram.createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
  socket.bind(0, address);
  await once(socket, 'listening');
  return socket.unref();
}

export function memoryFile(bytes: Uint8Array, onClose: () => void = () => {}): { kind: 'file' } & BootFile {
  return {
    kind: 'file',
    size: bytes.length,
    read: async (offset, length) => bytes.subarray(offset, offset + length),
    close: async () => onClose(),
  };
}

/** Real engines in threads of their own, with sockets on loopback. */
export function engines(workers = 1): TftpServerOptions['engines'] {
  const entry = new URL('../../src/tftp-worker.ts', import.meta.url);
  return { entry, workers, ...engineHost(() => HOST) };
}

export interface Loopback {
  readonly server: TftpServer;
  readonly listener: dgram.Socket;
  readonly port: number;
}

/** The server on a free port of the loopback interface; `openFile` is what stands behind it. */
export async function serveLoopback(
  openFile: OpenBootFile,
  limits: Partial<TftpLimits> = {},
  more: Partial<TftpServerOptions> = {},
): Promise<Loopback> {
  const socket = await openSocket();
  const port = socket.address().port;
  const server = startTftpServer({
    listeners: [{ interface: 'lo', socket }],
    openErrorSocket: () => openSocket(),
    engines: engines(),
    openFile,
    warnings: new Warnings(silentLog, Date.now),
    log: silentLog,
    limits,
    ...more,
  });
  return { server, listener: socket, port };
}

export type Received = TftpPacket & {
  readonly address: string;
  readonly port: number;
  readonly afterMs: number;
};

/** A client that does nothing by itself: the test says what is sent and sees every packet that comes. */
export class ScriptedClient {
  readonly #socket: dgram.Socket;
  readonly #received: Received[] = [];
  #wake: (() => void) | undefined;
  #sentAt = 0;
  #sending: Promise<void> = Promise.resolve();

  /** @param address any of 127.0.0.0/8: another one is another client */
  static async open(address: string = HOST): Promise<ScriptedClient> {
    return new ScriptedClient(await openSocket(address));
  }

  private constructor(socket: dgram.Socket) {
    this.#socket = socket;
    socket.on('message', (bytes, from) => {
      const packet = decodePacket(Uint8Array.from(bytes));
      this.#received.push({
        ...packet,
        address: from.address,
        port: from.port,
        afterMs: performance.now() - this.#sentAt,
      });
      this.#wake?.();
    });
  }

  get port(): number {
    return this.#socket.address().port;
  }

  send(port: number, what: TftpPacket | Uint8Array): void {
    this.#sentAt = performance.now();
    const bytes = what instanceof Uint8Array ? what : encodePacket(what);
    this.#sending = new Promise((resolve) => this.#socket.send(bytes, port, HOST, () => resolve()));
  }

  /** The next packet that is not a repetition of this block. */
  async nextAfter(block: number, withinMs = 2000): Promise<Received | undefined> {
    let packet = await this.next(withinMs);
    while (packet?.kind === 'data' && packet.block === (block & 0xffff)) packet = await this.next(withinMs);
    return packet;
  }

  /** The next packet; `undefined` when none comes in time. */
  async next(withinMs = 2000): Promise<Received | undefined> {
    if (this.#received.length === 0) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, withinMs);
      });
      clearTimeout(timer);
      this.#wake = undefined;
    }
    return this.#received.shift();
  }

  /** A socket closed at once would drop what was just sent, the last ACK of a transfer for one. */
  async close(): Promise<void> {
    await this.#sending;
    this.#socket.close();
  }
}

export function rrq(filename: string, options: Record<string, string> = {}, mode = 'octet'): TftpPacket {
  return { kind: 'rrq', filename, mode, options: new Map(Object.entries(options)) };
}

/** Fetches a whole file in windows (RFC 7440). @param drop blocks that are taken for lost, once each */
export async function fetchWindowed(
  port: number,
  filename: string,
  options: Record<string, string>,
  drop: ReadonlySet<number> = new Set(),
): Promise<{ bytes: Buffer; acks: number; windowSize: number }> {
  const client = await ScriptedClient.open();
  const lost = new Set(drop);
  try {
    client.send(port, rrq(filename, options));
    const oack = await client.next(5000);
    if (oack?.kind !== 'oack') throw new Error(`no OACK: ${JSON.stringify(oack)}`);
    const blockSize = Number(oack.options.get('blksize') ?? 512);
    const windowSize = Number(oack.options.get('windowsize') ?? 1);
    const blocks: Uint8Array[] = [];
    let acks = 0;
    let inWindow = 0;
    let toldGap = -1;
    const ack = (block: number) => {
      acks += 1;
      inWindow = 0;
      client.send(oack.port, { kind: 'ack', block: block & 0xffff });
    };
    ack(0);
    for (let guard = 0; guard < 1_000_000; guard += 1) {
      const packet = await client.next(5000);
      if (packet?.kind !== 'data')
        throw new Error(`after ${blocks.length} blocks: ${JSON.stringify(packet)}`);
      const expected = blocks.length + 1;
      if (packet.block !== (expected & 0xffff)) {
        const isAhead = ((packet.block - expected) & 0xffff) < 0x8000;
        if (isAhead && toldGap !== expected) {
          toldGap = expected;
          ack(blocks.length);
        }
        continue;
      }
      if (lost.delete(expected)) continue;
      toldGap = -1;
      blocks.push(packet.data);
      inWindow += 1;
      const isLast = packet.data.length < blockSize;
      if (isLast || inWindow >= windowSize) ack(blocks.length);
      if (isLast) return { bytes: Buffer.concat(blocks), acks, windowSize };
    }
    throw new Error('the file has no end');
  } finally {
    await client.close();
  }
}

/** Fetches a whole file in lockstep, as a Pi does. @throws Error with the server's words, or at silence. */
export async function fetchFile(
  port: number,
  filename: string,
  options: Record<string, string> = { tsize: '0', blksize: '1468' },
): Promise<Buffer> {
  const client = await ScriptedClient.open();
  try {
    client.send(port, rrq(filename, options));
    const blocks: Uint8Array[] = [];
    let blockSize = 512;
    for (let guard = 0; guard < 100_000; guard += 1) {
      const packet = await client.next(5000);
      if (!packet) throw new Error(`${filename}: silence after ${blocks.length} blocks`);
      if (packet.kind === 'error') throw new Error(packet.message);
      if (packet.kind === 'oack') {
        blockSize = Number(packet.options.get('blksize') ?? blockSize);
        client.send(packet.port, { kind: 'ack', block: 0 });
      } else if (packet.kind === 'data') {
        client.send(packet.port, { kind: 'ack', block: packet.block });
        if (packet.block !== ((blocks.length + 1) & 0xffff)) continue; // a retransmission
        blocks.push(packet.data);
        if (packet.data.length < blockSize) break;
      }
    }
    return Buffer.concat(blocks);
  } finally {
    await client.close();
  }
}
