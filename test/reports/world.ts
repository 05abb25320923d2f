import { execFileSync } from 'node:child_process';
import { createHmac, randomBytes, randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '../../src/config.ts';
import type { ToldEvent } from '../../src/fleet/events.ts';
import { Fleet } from '../../src/fleet/fleet.ts';
import { resolveNetworks } from '../../src/fleet/networks.ts';
import type { Store } from '../../src/fleet/store.ts';
import { hostKeyMaker } from '../../src/host/host-keys.ts';
import { run } from '../../src/host/run.ts';
import type { StoredGeneration } from '../../src/model/generation.ts';
import type { Log } from '../../src/model/log.ts';
import { Warnings } from '../../src/model/warnings.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import { parseSerial, type Serial } from '../../src/net/serial.ts';
import { type ReportLimits, type ReportServer, startReportServer } from '../../src/reports/server.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';

export const LOOPBACK = '127.0.0.1' as Ipv4;
export const SERIAL = parseSerial('9ffefdef');
export const OTHER = parseSerial('b66c4c16');
/** Where the two nodes ask from. */
export const HOME = '127.0.0.21' as Ipv4;
export const ELSEWHERE = '127.0.0.22' as Ipv4;
/** For `settings`. */
export const FULL = 'dhcp: full, pool: 127.0.0.100-127.0.0.200, router: 127.0.0.1';
export const MAC = 'dc:a6:32:01:36:c2' as Mac;
export const OTHER_MAC = 'dc:a6:32:01:36:c3' as Mac;

export const GENERATION: StoredGeneration = {
  id: 'web-000000000001',
  image: 'web',
  arch: 'arm64',
  sealedAt: '2026-01-01T00:00:00Z',
  recipeKey: 'a'.repeat(64),
  root: { size: 1, sha256: 'b'.repeat(64) },
  boot: { kernel: 'kernel8.img', config: [], cmdline: [], files: {} },
  roles: { web: { target: 'web-cluster-node.target' } },
  packages: {},
  provides: ['reports'],
  folder: '/generations/web-000000000001',
};

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, LOOPBACK);
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** An appliance as far as nodes report to it, with two nodes, on the loopback interface; and all that it said. */
export class World implements AsyncDisposable {
  readonly folder: string;
  readonly port: number;
  readonly store: Store;
  readonly lines: string[] = [];
  readonly events: ToldEvent[] = [];
  readonly #limits: Partial<ReportLimits>;
  readonly #neighbours = new Map<string, Mac>();
  /** Of the interface, from the next start on. */
  settings: string;
  fleet!: Fleet;
  server!: ReportServer;

  private constructor(
    folder: string,
    port: number,
    store: Store,
    limits: Partial<ReportLimits>,
    settings: string,
  ) {
    this.folder = folder;
    this.port = port;
    this.store = store;
    this.#limits = limits;
    this.settings = settings;
  }

  static async make({
    limits = {},
    settings = 'dhcp: proxy',
    openStore = () => new MemoryStore() as Store,
  }: {
    limits?: Partial<ReportLimits>;
    settings?: string;
    openStore?: (folder: string) => Store;
  } = {}): Promise<World> {
    const folder = await mkdtemp(join(tmpdir(), 'netboot-reports-'));
    const world = new World(folder, await freePort(), openStore(folder), limits, settings);
    await world.start();
    await world.fleet.addNode({ serial: SERIAL, name: 'first', image: 'web', mac: MAC });
    await world.fleet.addNode({ serial: OTHER, name: 'second', image: 'web', mac: OTHER_MAC });
    await world.fleet.publish('web', GENERATION.id);
    world.has(HOME, MAC).has(ELSEWHERE, OTHER_MAC);
    return world;
  }

  /** Another run of the service, on the same state. */
  async restart(): Promise<void> {
    await this.server.stop();
    this.fleet.conditions.stop();
    await this.start();
  }

  async start(): Promise<void> {
    const config = parseConfig(
      `interfaces: { eth0: { ${this.settings} } }\nreports: { port: ${this.port} }\n`,
      'netboot.yaml',
    );
    const note = (level: string) => (fields: object, message: string) => {
      const err = (fields as { err?: Error }).err;
      this.lines.push(JSON.stringify({ level, ...fields, ...(err ? { err: `${err.stack}` } : {}), message }));
    };
    const log: Log = { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') };
    const present = [{ interface: 'eth0', address: LOOPBACK, prefix: 24, mtu: 1500 }];
    this.fleet = await Fleet.open(
      {
        store: this.store,
        exporter: {
          kind: 'none',
          apply: async () => {},
          state: () => ({ exports: [] }),
          stop: async () => {},
        },
        readGenerations: async () => ({ generations: [GENERATION], problems: [] }),
        recipeNames: async () => ['web'],
        makeHostKey: hostKeyMaker(run, this.folder),
        neighbourMac: async (address) => this.#neighbours.get(address),
        log,
      },
      config,
      resolveNetworks(config.interfaces, present),
    );
    this.fleet.events.listen((event) => void this.events.push(event));
    const warnings = new Warnings(log, Date.now);
    const desk = this.fleet.reporting;
    this.server = startReportServer({ port: this.port, desk, log, warnings, limits: this.#limits });
    await this.server.listenAt([{ interface: 'eth0', address: LOOPBACK }]);
  }

  /** The kernel knows who answers for this address. */
  has(address: Ipv4, mac: Mac): this {
    this.#neighbours.set(address, mac);
    return this;
  }

  /** What the node reads in its command line when it fetches it from there. */
  token(serial: Serial, address: Ipv4): string {
    const node = this.fleet.find(serial);
    const [word = ''] = this.fleet.pin(node, 'cmdline.txt')?.words?.(address) ?? [];
    return word.replace('netboot.token=', '');
  }

  client(serial: Serial, address: Ipv4): Client {
    return new Client(this.port, address, serial);
  }

  /** A node that has booted from there, and has its identity. */
  async booted(serial: Serial, address: Ipv4): Promise<Client> {
    const client = this.client(serial, address);
    const answer = await client.redeem(this.token(serial, address));
    if (answer.status !== 200) throw new Error(`${answer.status}: ${answer.body}`);
    return client;
  }

  troubles(): string[] {
    return this.events.flatMap((event) => (event.kind === 'node trouble' ? [event.text] : []));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop();
    this.fleet.conditions.stop();
    this.store.close();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 10 });
  }
}

export interface Answered {
  readonly status: number;
  readonly mac: string | undefined;
  readonly body: string;
}

export const hmac = (key: string, text: string): string =>
  createHmac('sha256', key).update(text).digest('hex');

/** The end of a connection that a node has: what it sends is written here byte by byte, after the protocol's words. */
export class Client {
  readonly port: number;
  readonly address: Ipv4;
  readonly serial: Serial;
  key = '';
  run = 'none';
  seq = 0;
  /** The last request, as it went over the wire. */
  recorded = '';

  constructor(port: number, address: Ipv4, serial: Serial) {
    this.port = port;
    this.address = address;
    this.serial = serial;
  }

  /** @param localPort any, unless given. */
  connect(localPort = 0): net.Socket {
    const options = { host: LOOPBACK, port: this.port, localAddress: this.address, allowHalfOpen: true };
    return net.connect({ ...options, localPort }).on('error', () => {});
  }

  /** From a port that only root has, and that is free. */
  async connectAsRoot(): Promise<net.Socket> {
    for (let tries = 0; tries < 50; tries++) {
      const socket = this.connect(randomInt(600, 1024));
      const isOpen = await new Promise((resolve) => {
        socket.once('connect', () => resolve(true)).once('close', () => resolve(false));
      });
      if (isOpen) return socket;
    }
    throw new Error('no port below 1024 is free');
  }

  /** Sends these bytes and reads until the other side ends. */
  async raw(request: string, given?: net.Socket): Promise<Answered> {
    const isForRoot = request.startsWith('POST /v1/identity ');
    const socket = given ?? (isForRoot ? await this.connectAsRoot() : this.connect());
    this.recorded = request;
    socket.write(request);
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
    });
    await new Promise((resolve) => socket.once('end', resolve).once('close', resolve));
    socket.end();
    const [head = '', body = ''] = text.split('\r\n\r\n', 2);
    return {
      status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1] ?? 0),
      mac: /^netboot-mac: (\w+)$/im.exec(head)?.[1],
      body,
    };
  }

  request(path: string, body: string, key: string): string {
    return [
      `POST ${path} HTTP/1.1`,
      'Connection: close',
      `Content-Length: ${Buffer.byteLength(body)}`,
      `Netboot-Mac: ${hmac(key, `${path}\n${body}`)}`,
      '',
      body,
    ].join('\r\n');
  }

  async redeem(
    token: string,
    nonce = randomBytes(16).toString('hex'),
    socket?: net.Socket,
  ): Promise<Answered> {
    const since = token.split('.')[0];
    const body = `serial ${this.serial}\nsince ${since}\nnonce ${nonce}\n`;
    const answer = await this.raw(this.request('/v1/identity', body, token), socket);
    if (answer.status === 200) {
      this.key = /^report-key (\w{64})$/m.exec(answer.body)?.[1] ?? '';
      this.run = /^run (\S+)$/m.exec(answer.body)?.[1] ?? '';
      this.seq = 0;
    }
    return answer;
  }

  report(
    changes: Readonly<Record<string, string>> = {},
    key = this.key,
    socket?: net.Socket,
  ): Promise<Answered> {
    this.seq += 1;
    const fields: Record<string, string> = {
      serial: this.serial,
      run: this.run,
      seq: String(this.seq),
      wait: '0',
      generation: GENERATION.id,
      root: 'readonly',
      uptime: '42.17',
      clock: '1763776800',
      state: 'running',
      target: 'web-cluster-node.target',
      memory: '3884000 3300000',
      ...changes,
    };
    const body = Object.entries(fields)
      .map(([name, value]) => `${name} ${value}\n`)
      .join('');
    return this.raw(this.request('/v1/report', body, key), socket);
  }
}

/** The public half that ssh-keygen finds in a private one. */
export function publicHalf(file: string): string {
  return execFileSync('ssh-keygen', ['-y', '-f', file], { encoding: 'utf8' }).trim();
}
