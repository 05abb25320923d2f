import dgram from 'node:dgram';
import { once } from 'node:events';
import type { BootFile, OpenBootFile } from '../../src/model/boot-file.ts';
import { silentLog } from '../../src/model/log.ts';
import { decodePacket, encodePacket, type TftpPacket } from '../../src/tftp/packet.ts';
import {
  startTftpServer,
  type TftpLimits,
  type TftpServer,
  type TftpServerOptions,
} from '../../src/tftp/server.ts';

const HOST = '127.0.0.1';

/** It does not keep the process alive: a test that fails half-way ends instead of hanging. */
export async function openSocket(): Promise<dgram.Socket> {
  const socket = dgram.createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
  socket.bind(0, HOST);
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
    openTransferSocket: openSocket,
    openFile,
    log: silentLog,
    limits,
    ...more,
  });
  return { server, listener: socket, port };
}

export type Received = TftpPacket & { readonly port: number; readonly afterMs: number };

/** A client that does nothing by itself: the test says what is sent and sees every packet that comes. */
export class ScriptedClient {
  readonly #socket: dgram.Socket;
  readonly #received: Received[] = [];
  #wake: (() => void) | undefined;
  #sentAt = 0;
  #sending: Promise<void> = Promise.resolve();

  static async open(): Promise<ScriptedClient> {
    return new ScriptedClient(await openSocket());
  }

  private constructor(socket: dgram.Socket) {
    this.#socket = socket;
    socket.on('message', (bytes, from) => {
      const packet = decodePacket(Uint8Array.from(bytes));
      this.#received.push({ ...packet, port: from.port, afterMs: performance.now() - this.#sentAt });
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
