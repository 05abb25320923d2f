import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseConfig } from '../../../src/config.ts';
import type { ToldEvent } from '../../../src/fleet/events.ts';
import { Fleet } from '../../../src/fleet/fleet.ts';
import { resolveNetworks } from '../../../src/fleet/networks.ts';
import type { CheckResult } from '../../../src/fleet/rollout/check.ts';
import { Rollouts } from '../../../src/fleet/rollout/rollouts.ts';
import type { Store } from '../../../src/fleet/store.ts';
import { Refusal } from '../../../src/model/command.ts';
import type { StoredGeneration } from '../../../src/model/generation.ts';
import { silentLog } from '../../../src/model/log.ts';
import type { Node } from '../../../src/model/node.ts';
import type { Ipv4 } from '../../../src/net/ipv4.ts';
import { parseSerial, type Serial } from '../../../src/net/serial.ts';
import { SqliteStore } from '../../../src/store/sqlite-store.ts';

const CONFIG = parseConfig(
  'interfaces:\n  eth0:\n    dhcp: full\n    pool: 192.168.172.100-192.168.172.199\n    router: 192.168.172.1\nnodes: { attempts: 2 }\n',
  'f',
);
const PRESENT = [{ interface: 'eth0', address: '192.168.172.17' as Ipv4, prefix: 24, mtu: 1500 }];

export const generation = (id: string, day: number, image = 'web'): StoredGeneration => ({
  id,
  image,
  arch: 'arm64',
  sealedAt: `2026-01-0${day}T00:00:00Z`,
  recipeKey: 'a'.repeat(64),
  root: { size: 1, sha256: 'b'.repeat(64) },
  boot: { kernel: 'kernel8.img', config: [], cmdline: [], files: {} },
  roles: {},
  packages: {},
  provides: ['reports'],
  folder: `/generations/${id}`,
});
export const [OLD, NEW] = [generation('web-000000000001', 1), generation('web-000000000002', 2)];

/** What a killed process had under way comes to nothing. */
function mortal(store: SqliteStore): Store & { die(): void } {
  let isAlive = true;
  const never = () => new Promise<number>(() => {});
  return {
    revision: () => (isAlive ? store.revision() : 0),
    get: (key) => (isAlive ? store.get(key) : undefined),
    list: (prefix) => (isAlive ? store.list(prefix) : []),
    transact: (transaction) => (isAlive ? store.transact(transaction) : never()),
    watch: (prefix, onWrite) => store.watch(prefix, onWrite),
    close: () => store.close(),
    die: () => {
      isAlive = false;
    },
  };
}

/** What the machines stand on, over restarts of the service. */
export class Rack {
  readonly folder = mkdtempSync(join(tmpdir(), 'netboot-rollout-'));
  sealed = [OLD, NEW];
  /** Nodes that do not come up with these generations. */
  readonly bad = new Map<string, string>();
  readonly powered = new Set<string>();
  readonly deaf = new Set<string>();
  readonly boots: string[] = [];
  /** Paths of each set of exports that was applied. */
  readonly exported: string[][] = [];
  readonly events: ToldEvent[] = [];
  /** What becomes of each set of exports; rejects where they cannot be applied. */
  onExports: () => Promise<void> = async () => {};
  /** Before a rollout's writes are the disk's; rejects where it does not take them. */
  onWrites: () => Promise<void> = async () => {};
  check: (url: string) => Promise<CheckResult> = async () => ({ passed: true, text: 'answers 200' });
  store = mortal(new SqliteStore(join(this.folder, 'state.db')));
  fleet!: Fleet;
  rollouts!: Rollouts;
  #isLooked = false;
  /** All power is gone. */
  #isDark = false;

  /** Starts the service; the machines that report come again. */
  async open(): Promise<void> {
    const exporter = {
      kind: 'none' as const,
      apply: async (desired: ReadonlyArray<{ path: string }>) => {
        await this.onExports();
        this.exported.push(desired.map(({ path }) => path));
      },
      state: () => ({ exports: [] }),
      stop: async () => {},
    };
    const { store } = this;
    this.fleet = await Fleet.open(
      {
        store,
        exporter,
        readGenerations: async () => ({ generations: this.sealed, problems: [] }),
        recipeNames: async () => ['web', 'db'],
        log: silentLog,
      },
      CONFIG,
      resolveNetworks(CONFIG.interfaces, PRESENT),
    );
    this.fleet.events.listen((event) => this.events.push(event));
    const { fleet } = this;
    this.rollouts = new Rollouts({
      fleet,
      transact: async (writes) => {
        await this.onWrites();
        return store.transact({ writes });
      },
      send: async ({ serial, name }) => {
        if (this.deaf.has(name)) throw new Refusal(`${name} takes no orders`, '');
        this.reset(serial);
      },
      power: {
        can: ({ name }: Node) => this.powered.has(name),
        switch: async ({ serial }: Node) => this.reset(serial),
      },
      addressOf: () => '192.168.172.100' as Ipv4,
      ask: (url) => this.check(url),
      log: silentLog,
    });
    this.#isLooked = true;
    void this.#look(this.rollouts);
    for (const node of fleet.view().nodes.values()) this.#report(node.serial, fleet);
  }

  /** As `kill -9` does: nothing is finished. */
  async kill(): Promise<void> {
    this.#isLooked = false;
    this.store.die();
    await sleep(20); // what was with SQLite is on the disk
    this.store.close();
    this.store = mortal(new SqliteStore(join(this.folder, 'state.db')));
  }

  async close(): Promise<void> {
    this.#isDark = true;
    this.#isLooked = false;
    await this.rollouts.stop();
    await this.fleet.conditions.stop();
    this.store.close();
    rmSync(this.folder, { recursive: true });
  }

  async add(...names: string[]): Promise<void> {
    for (const [index, name] of names.entries()) {
      const serial = parseSerial((0x9ffefd00 + index).toString(16));
      await this.fleet.addNode({ serial, name, image: 'web' });
      await this.bootNow(serial);
    }
  }

  node(name: string): Node {
    return this.fleet.find(name);
  }

  /** The generation that it reports, when it is up. */
  runs(name: string): string | undefined {
    const { state, report } = this.fleet.conditions.of(this.node(name).serial);
    return state === 'up' ? report?.generation : undefined;
  }

  reset(serial: Serial): void {
    setTimeout(() => void this.bootNow(serial), 20);
  }

  /** All of a boot, as far as the generation lets it come. */
  async bootNow(serial: Serial): Promise<void> {
    if (!(await this.#service())) return;
    const node = this.fleet.view().nodes.get(serial);
    if (!node) return;
    this.fleet.announce({ serial, order: 1, xid: Math.floor(Math.random() * 2 ** 32) });
    const first = this.fleet.pin(node, 'config.txt');
    if (!first) return;
    await Promise.race([first.stored, sleep(100)]);
    this.boots.push(`${node.name} ${first.generation.id}`);
    if (!(await this.#service())) return;
    this.fleet.pin(node, 'kernel8.img')?.onServed?.('kernel8.img', 1);
    await sleep(20);
    if (!(await this.#service())) return;
    this.#report(serial, this.fleet);
  }

  /** A machine asks again until somebody answers. */
  async #service(): Promise<boolean> {
    while (!this.#isLooked && !this.#isDark) await sleep(5);
    return !this.#isDark;
  }

  #report(serial: Serial, fleet: Fleet): void {
    const record = fleet.boots.record(serial);
    const node = fleet.view().nodes.get(serial);
    if (!record?.gotKernel || !node) return;
    const manner = this.bad.get(`${node.name} ${record.generation}`) ?? this.bad.get(record.generation);
    if (manner === 'panics') return;
    fleet.conditions.reported(serial, {
      generation: record.generation,
      root: 'readonly',
      uptime: 10,
      clock: 0,
      state: manner === undefined ? 'running' : 'degraded',
      failed: manner === undefined ? [] : [manner],
    });
  }

  async #look(rollouts: Rollouts): Promise<void> {
    while (this.#isLooked && rollouts === this.rollouts) {
      await rollouts.tick();
      await sleep(15);
    }
  }

  /** What rollouts told, in order: `started`, `node told pi-1`. */
  told(): string[] {
    return this.events.flatMap((event) =>
      event.kind === 'rollout' ? [event.name === undefined ? event.what : `${event.what} ${event.name}`] : [],
    );
  }
}

/** Waits until that is so. @throws after a long time, for a machine that does much else. */
export async function until(what: string, isSo: () => boolean): Promise<void> {
  for (const end = performance.now() + 30_000; !isSo(); await sleep(10))
    if (performance.now() > end) throw new Error(`it never came to be that ${what}`);
}
