import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { execa } from 'execa';
import type { NodesAnswer } from '../../src/api/schemas.ts';
import { api } from './api.ts';

export const REPOSITORY = resolve(import.meta.dirname, '../..');
export const NETBOOT = join(REPOSITORY, 'scripts/netboot');

/** Sealed generations outlive a test run: a cold build takes many minutes. Empty, the tests build it. */
export const GENERATIONS = process.env.NETBOOT_TEST_GENERATIONS ?? '/var/cache/netboot/generations';

export interface ApplianceOptions {
  /** `nfs.server`; `auto` unless told. */
  readonly nfs?: string;
  /** A folder of sealed generations of the test's own, below the appliance's. */
  readonly generations?: string;
  /** The recipes, instead of the repository's. */
  readonly images?: string;
  /** A folder of build layers of the test's own, below the appliance's, instead of the machine's. */
  readonly cache?: string;
  /** Further lines of the configuration, in YAML: `nodes: { unknown: ignore }`. */
  readonly settings?: readonly string[];
  /** The least that is written to the log; `debug` unless told. */
  readonly log?: 'debug' | 'info' | 'warn';
}

/** Calls `attempt` until it succeeds. @throws its last error when the time is over. */
export async function eventually<T>(withinMs: number, attempt: () => Promise<T>): Promise<T> {
  for (const until = Date.now() + withinMs; ; await sleep(500)) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > until) throw error;
    }
  }
}

/** How a program ended. */
export interface Attempt {
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * An appliance as a user has it: `netboot serve` in a rack of its own, told what to do by the `netboot` command.
 * Everything it makes is gone after `remove`.
 */
export class Appliance {
  readonly rack: string;
  readonly folder: string;
  readonly configFile: string;
  readonly #logLevel: string;
  #service: ChildProcess | undefined;

  private constructor(rack: string, folder: string, logLevel: string) {
    this.#logLevel = logLevel;
    this.rack = rack;
    this.folder = folder;
    this.configFile = join(folder, 'netboot.yaml');
  }

  /**
   * @param interfaceSettings of the interface br0, in YAML: `dhcp: proxy`.
   */
  static async make(
    name: string,
    interfaceSettings: string,
    {
      nfs = 'auto',
      generations,
      images = `${REPOSITORY}/images`,
      cache,
      settings = [],
      log = 'debug',
    }: ApplianceOptions = {},
  ): Promise<Appliance> {
    const folder = await mkdtemp(join(tmpdir(), `netboot-${name}-`));
    const appliance = new Appliance(`${name}-${process.pid}`, folder, log);
    const generationsFolder = generations === undefined ? GENERATIONS : join(folder, generations);
    const config = [
      `interfaces: { br0: { ${interfaceSettings} } }`,
      `nfs: { server: ${nfs}, exports: /exports }`,
      `paths: { state: ${folder}/state, images: ${images}, generations: ${generationsFolder}, cache: ${cache === undefined ? '/var/cache/netboot' : join(folder, cache)} }`,
      `api: { socket: ${folder}/api.sock }`,
      ...settings.map((line) => line.replaceAll('FOLDER', folder)),
    ];
    await writeFile(appliance.configFile, `${config.join('\n')}\n`);
    for (const made of [generationsFolder, join(folder, 'exports')]) await mkdir(made, { recursive: true });
    await execa(NETBOOT, ['sim', 'rack-up', appliance.rack]);
    return appliance;
  }

  /**
   * `ip netns exec` gives each program a mount namespace of its own, so that nobody else sees what is mounted here.
   * /exports is part of what nodes know (fstab's /exports/www); the folder behind it is this appliance's own.
   */
  #argv(prelude: string, args: readonly string[]): string[] {
    const mounts = `mkdir -p /exports; mount --bind ${this.folder}/exports /exports`;
    const shell = ['sh', '-euc', `${mounts}\n${prelude}\nexec "$@"`, 'sh'];
    return ['netns', 'exec', `nb-${this.rack}`, ...shell, NETBOOT, ...args];
  }

  get socket(): string {
    return join(this.folder, 'api.sock');
  }

  get logFile(): string {
    return join(this.folder, 'service.log');
  }

  log(): Promise<string> {
    return readFile(this.logFile, 'utf8');
  }

  /**
   * Starts the service and waits until it answers, clients of DHCP as well.
   * @param args behind `netboot serve`.
   * @param prelude shell commands before it, in the mount namespace that is its alone.
   */
  async start({ prelude = '', args = [] as readonly string[] } = {}): Promise<void> {
    const service = this.launch({ prelude, args });
    await eventually(30_000, async () => {
      if (service.exitCode !== null)
        throw new Error(`the service ended with ${service.exitCode}:\n${await this.log()}`);
      const status = await this.netboot('status');
      if (status.includes('looking for other servers')) throw new Error('DHCP is not served yet');
    });
  }

  /** Starts the service and does not wait for it. */
  launch({ prelude = '', args = [] as readonly string[] } = {}): ChildProcess {
    const argv = this.#argv(prelude, ['--config', this.configFile, 'serve', ...args]);
    const env = { ...process.env, NETBOOT_LOG: this.#logLevel };
    const service = spawn('ip', argv, { stdio: ['ignore', 'pipe', 'pipe'], env });
    const log = createWriteStream(this.logFile, { flags: 'a' });
    service.stdout.pipe(log, { end: false });
    service.stderr.pipe(log, { end: false });
    this.#service = service;
    return service;
  }

  /** The process id of the service: `ip netns exec` and the script replace themselves by it. */
  get pid(): number {
    const pid = this.#service?.pid;
    if (pid === undefined) throw new Error('the service does not run');
    return pid;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const service = this.#service;
    this.#service = undefined;
    if (!service || service.exitCode !== null || service.signalCode !== null)
      return service?.exitCode ?? null;
    const ended = once(service, 'exit');
    service.kill(signal);
    await ended;
    return service.exitCode;
  }

  /**
   * Runs the command line in the rack to its end, however that is; one that runs on is ended after 20 s.
   * @param prelude as in {@link start}.
   */
  async attempt(args: readonly string[], { prelude = '' } = {}): Promise<Attempt> {
    const argv = this.#argv(prelude, args);
    const { exitCode, stdout, stderr } = await execa('ip', argv, { reject: false, timeout: 20_000 });
    return { exitCode, stdout, stderr };
  }

  /** Has image `web` stand for this sealed generation. */
  publish(generation: string): Promise<unknown> {
    return api(this.socket, 'POST', '/v1/images/web/publish', { generation });
  }

  /** Runs the command line; gives its output. @throws with what it said when it fails. */
  async netboot(...args: string[]): Promise<string> {
    const { stdout } = await execa(NETBOOT, ['--config', this.configFile, ...args], { all: true });
    return stdout;
  }

  async nodes(): Promise<NodesAnswer> {
    return JSON.parse(await this.netboot('nodes', '--json')) as NodesAnswer;
  }

  /** The address of a node, once it has one. */
  addressOf(name: string): Promise<string> {
    return eventually(60_000, async () => {
      const node = (await this.nodes()).nodes.find((candidate) => candidate.name === name);
      if (!node?.ip) throw new Error(`node ${name} has no address`);
      return node.ip;
    });
  }

  /** Runs a program in the rack's network, beside the appliance. */
  async inRack(program: string, ...args: string[]): Promise<string> {
    const { stdout } = await execa('ip', ['netns', 'exec', `nb-${this.rack}`, program, ...args]);
    return stdout;
  }

  /** The page a node's nginx serves on port 8000. */
  page(address: string): Promise<string> {
    return this.inRack(
      'curl',
      '--silent',
      '--show-error',
      '--fail',
      '--max-time',
      '5',
      `http://${address}:8000/`,
    );
  }

  async writePage(text: string): Promise<void> {
    await writeFile(join(this.folder, 'exports/www/html/index.html'), text);
  }

  async remove(): Promise<void> {
    await this.stop();
    await execa(NETBOOT, ['sim', 'rack-down', this.rack]);
    // What was built into this folder is immutable.
    await execa('chattr', ['-R', '-f', '-i', this.folder], { reject: false });
    await rm(this.folder, { recursive: true, force: true });
  }
}
