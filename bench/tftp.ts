import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { api } from '../test/rack/api.ts';
import { eventually } from '../test/rack/appliance.ts';
import { noise, sealGeneration } from '../test/rack/sealed.ts';
import { median, round } from './figures.ts';
import { atLoad, CABLES, type Lab, onLoadProcessor, onServerProcessor } from './lab.ts';
import { dnsmasqTftp, netbootTftp, TFTP_PORTS, tftpdHpa } from './programs.ts';
import { Server, type ServerProgram } from './server.ts';
import type { TftpLoad } from './tftp-load.ts';
import { cpuSeconds, forgetPeakMemory, peakMemory, sharedMemory } from './usage.ts';

export type TftpServerName = keyof typeof TFTP_PORTS;

export interface TftpCell {
  readonly clients: number;
  readonly blockSize: number;
  readonly windowSize: number;
}

/** One run of the load against one server. */
export interface TftpRun extends TftpLoad {
  readonly serverCpuSeconds: number;
  /** Largest resident memory of the server during the run, in MiB. */
  readonly memory: number;
}

export interface TftpResult {
  readonly cell: TftpCell;
  readonly runs: ReadonlyMap<TftpServerName, readonly TftpRun[]>;
}

export interface TftpPlan {
  readonly cells: readonly TftpCell[];
  readonly runs: number;
  readonly seconds: number;
}

/** An odd size: the last block is a short one. */
const FILE_BYTES = 2 * 1024 * 1024 + 3;
const FILE = 'kernel8.img';
const SERIAL = 'be0c0001';
const SAMPLE_MS = 250;

export const allCells: readonly TftpCell[] = [1, 10, 50, 200].flatMap((clients) =>
  [512, 1024, 1468].flatMap((blockSize) =>
    [1, 4, 16].map((windowSize) => ({ clients, blockSize, windowSize })),
  ),
);

/**
 * dnsmasq 2.90 knows no windows (RFC 7440), tftpd-hpa neither. `netboot, sealed`: a file of a node's image, where the
 * others serve one of a plain folder.
 */
function serversFor({ clients, blockSize, windowSize }: TftpCell): readonly TftpServerName[] {
  if (windowSize > 1) return ['netboot'];
  const isUsual = blockSize === 1468;
  return [
    ...(['netboot', 'dnsmasq'] as const),
    ...(isUsual ? (['tftpd-hpa'] as const) : []),
    ...(isUsual && clients >= 10 ? (['netboot, sealed'] as const) : []),
  ];
}

/** Runs every cell `runs` times, the servers in turn; all of them are up all the time. */
export async function measureTftp(
  lab: Lab,
  plan: TftpPlan,
  say: (line: string) => void,
): Promise<readonly TftpResult[]> {
  await using bench = await TftpBench.start(lab);
  // The first requests find a cold program and a cold file.
  const warmUp = { clients: 20, blockSize: 1468, windowSize: 1 };
  for (const server of serversFor(warmUp)) await bench.run(server, warmUp, plan.seconds);
  const results: TftpResult[] = [];
  for (const cell of plan.cells) {
    const runs = new Map(serversFor(cell).map((server) => [server, [] as TftpRun[]]));
    for (let run = 0; run < plan.runs; run++) {
      for (const [server, done] of runs) done.push(await bench.run(server, cell, plan.seconds));
    }
    results.push({ cell, runs });
    const figures = [...runs].map(([server, done]) => `${server} ${speedOf(done)} MB/s`);
    say(
      `${cell.clients} clients, blocks of ${cell.blockSize}, window ${cell.windowSize}: ${figures.join(', ')}`,
    );
  }
  return results;
}

const speedOf = (runs: readonly TftpRun[]): number =>
  round(median(runs.map((run) => run.megabytesPerSecond)), 1);

/** The servers, side by side, and the load that goes to one of them at a time. */
export class TftpBench implements AsyncDisposable {
  /** Every server has it under the name {@link fileName}. */
  readonly file: string;
  readonly fileName = FILE;
  readonly #servers: ReadonlyMap<TftpServerName, Server>;
  readonly #parts: AsyncDisposableStack;

  private constructor(
    file: string,
    servers: ReadonlyMap<TftpServerName, Server>,
    parts: AsyncDisposableStack,
  ) {
    this.file = file;
    this.#servers = servers;
    this.#parts = parts;
  }

  static async start(lab: Lab): Promise<TftpBench> {
    await using parts = new AsyncDisposableStack();
    const root = join(lab.folder, 'tftp');
    for (const made of [root, join(lab.folder, 'generations')]) await mkdir(made, { recursive: true });
    await writeFile(join(root, FILE), noise(FILE, FILE_BYTES));
    const generation = await sealGeneration(join(lab.folder, 'generations'), 'web', { [FILE]: FILE_BYTES });
    const start = (program: ServerProgram) =>
      Server.start({ ...program, argv: onServerProcessor(program.argv) });
    const netboot = parts.use(await start(await netbootTftp(lab.folder, root)));
    const socket = join(lab.folder, 'api.sock');
    await eventually(10_000, () => api(socket, 'POST', '/v1/images/web/publish', { generation }));
    await api(socket, 'POST', '/v1/nodes', { serial: SERIAL, image: 'web' });
    const servers = new Map<TftpServerName, Server>([
      ['netboot', netboot],
      ['netboot, sealed', netboot],
      ['dnsmasq', parts.use(await start(dnsmasqTftp(lab.folder, root)))],
      ['tftpd-hpa', parts.use(await start(tftpdHpa(lab.folder, root)))],
    ]);
    return new TftpBench(join(root, FILE), servers, parts.move());
  }

  async run(name: TftpServerName, cell: TftpCell, seconds: number): Promise<TftpRun> {
    const server = this.#servers.get(name) as Server;
    const { pid } = server;
    forgetPeakMemory(pid);
    // tftpd-hpa is a process per transfer: what they use together can only be seen while they live.
    let sampled = 0;
    const sampling = setInterval(() => {
      sampled = Math.max(sampled, sharedMemory(pid));
    }, SAMPLE_MS);
    const before = cpuSeconds(pid);
    const load = await this.#load(name, cell, seconds).finally(() => clearInterval(sampling));
    return {
      ...load,
      serverCpuSeconds: cpuSeconds(server.pid) - before,
      memory: round(name === 'tftpd-hpa' ? sampled : peakMemory(pid), 1),
    };
  }

  async #load(name: TftpServerName, cell: TftpCell, seconds: number): Promise<TftpLoad> {
    const { interface: from, server } = CABLES.netboot;
    const program = [process.execPath, join(import.meta.dirname, 'tftp-load.ts')];
    const [command = '', ...args] = onLoadProcessor(
      atLoad([
        ...program,
        ...['--interface', from, '--server', server, '--port', String(TFTP_PORTS[name])],
        ...[
          '--file',
          name === 'netboot, sealed' ? `${SERIAL}/${FILE}` : FILE,
          '--expect',
          this.file,
          '--clients',
          String(cell.clients),
        ],
        ...['--blksize', String(cell.blockSize), '--windowsize', String(cell.windowSize)],
        ...['--seconds', String(seconds)],
      ]),
    );
    const { stdout, stderr } = await execa(command, args, { reject: false });
    if (!stdout) throw new Error(`the load against ${name} failed: ${stderr}`);
    return JSON.parse(stdout) as TftpLoad;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync();
  }
}
