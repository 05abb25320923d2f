import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

/** What a node asked, as it came over the wire. */
export interface Asked {
  readonly path: string;
  /** That it was asked from. */
  readonly port: number;
  readonly mac: string;
  readonly body: string;
  /** The lines of the body by their first word. */
  readonly fields: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
}

/** What it is answered. `undefined` for the body hangs up; without a `key` the answer carries no MAC. */
export interface Reply {
  readonly status?: number;
  readonly body: string | undefined;
  readonly key?: string;
  /** The request that the answer is signed for, when that is another one. */
  readonly signedFor?: string;
}

export const TOKEN = 'mabc123.AAAAAAAAAAAAAAAAAAAAAA';
export const REPORT_KEY = '5a'.repeat(32);

const hmac = (key: string, text: string): string => createHmac('sha256', key).update(text).digest('hex');

/** Made with the key, from the protocol's own words: nothing here is the product's. */
export const isSigned = ({ path, body, mac }: Asked, key: string): boolean =>
  mac === hmac(key, `${path}\n${body}`);

/** Speaks the appliance's half of the protocol, right or wrong, as the test wants it. */
export class ToldAppliance {
  readonly asked: Asked[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(answer: (asked: Asked, count: number) => Reply | Promise<Reply>) {
    this.#server = createServer(async (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
      const asked = await readRequest(socket);
      if (!asked) return;
      this.asked.push(asked);
      const { status = 200, body, key, signedFor } = await answer(asked, this.asked.length);
      if (body === undefined) return void socket.destroy();
      const mac = key && `Netboot-Mac: ${hmac(key, `answer\n${signedFor ?? asked.mac}\n${body}`)}\r\n`;
      const length = `Content-Length: ${Buffer.byteLength(body)}\r\n`;
      socket.end(`HTTP/1.1 ${status} X\r\n${mac ?? ''}${length}Connection: close\r\n\r\n${body}`);
    });
  }

  static async open(
    answer: (asked: Asked, count: number) => Reply | Promise<Reply>,
    port = 0,
  ): Promise<ToldAppliance> {
    const appliance = new ToldAppliance(answer);
    appliance.#server.listen(port, '127.0.0.1');
    await once(appliance.#server, 'listening');
    return appliance;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

async function readRequest(socket: Socket): Promise<Asked | undefined> {
  let text = '';
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    text += chunk.toString('latin1');
    const [head = '', body] = text.split('\r\n\r\n');
    const headers = Object.fromEntries(
      [...head.matchAll(/^([\w-]+): (.*?)\r?$/gm)].map(([, name = '', value]) => [name.toLowerCase(), value]),
    ) as Record<string, string>;
    if (body === undefined || body.length < Number(headers['content-length'])) continue;
    const fields = Object.fromEntries(
      body.split('\n').flatMap((line) => {
        const at = line.indexOf(' ');
        return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1)]];
      }),
    );
    const path = /^POST (\S+) HTTP\/1\.1\r\n/.exec(head)?.[1] ?? '';
    return { path, port: socket.remotePort ?? 0, mac: headers['netboot-mac'] ?? '', body, fields, headers };
  }
  return undefined;
}
