import { z } from 'zod';
import { canReport, type StoredGeneration } from '../model/generation.ts';
import type { Instant } from '../model/lease.ts';
import type { Log } from '../model/log.ts';
import { type Evidence, NODE_STATES, type NodeCondition, SILENT_MS } from '../model/node-state.ts';
import type { Report } from '../model/report.ts';
import { throttle } from '../model/throttle.ts';
import type { Serial } from '../net/serial.ts';
import type { EventHub } from './events.ts';
import { stepNode } from './node-state-step.ts';
import type { Store, Write } from './store.ts';

const PREFIX = 'state/';

/** Where the condition of a node is kept: it goes with the node. */
export const stateKey = (serial: Serial): string => `${PREFIX}${serial}`;

const documentSchema = z.object({
  state: z.enum(NODE_STATES),
  /** Milliseconds since 1970. */
  since: z.number(),
  detail: z.string().optional(),
  /** Of one that stopped while it was loading. */
  bytes: z.number().optional(),
  hasReported: z.boolean().optional(),
  /** The target that it was told to start when it booted. */
  target: z.string().optional(),
});
type StateDocument = z.output<typeof documentSchema>;

/** Changes of so long are written together: a rack that is switched on makes six of each node. */
const WRITE_MS = 250;
const WRITE_AGAIN_MS = 5000;
const LINES_INTERVAL_MS = 10_000;
/** The whole tree as one file. */
const BOOT_IMG = 'boot.img';
const NEVER: NodeCondition = { state: 'off', since: 0 };

/** What is known of a node; instants by the clock that nobody sets. */
interface Known {
  condition: NodeCondition;
  /** When it came to its state. */
  stateAt: number;
  /** When it asked for something last. */
  heardAt: number;
  kernelAt: number;
  reportedAt: number;
  /** Its system: from when its root is mounted until it says that it stops, or its power is cut. */
  system: 'down' | 'mounted' | 'reports';
  /** What it has read in this boot: name → bytes. Dropped with the kernel. */
  readonly files: Map<string, number>;
  lastFile: string | undefined;
  /** Until it has its kernel. */
  booting: StoredGeneration | undefined;
  /** What it was told to start when it booted. */
  target: string | undefined;
}

export interface ConditionsPorts {
  readonly store: Store;
  readonly log: Log;
  readonly events: Pick<EventHub, 'tell'>;
  /** The nodes that were added: of others there is no condition. */
  readonly node: (
    serial: Serial,
  ) => { readonly name: string; readonly role?: string | undefined } | undefined;
  /** What it was given to boot and, when it has its kernel, runs; the generation while that is on the disk. */
  readonly given: (
    serial: Serial,
  ) => { readonly id: string; readonly generation: StoredGeneration | undefined } | undefined;
  /** What a boot of this node fetches of the generation in all, when its board is known. */
  readonly payload?: (serial: Serial, generation: StoredGeneration) => number | undefined;
  /** Called with what a node is after each of its reports. */
  readonly onReported?: (serial: Serial, condition: NodeCondition) => void;
  /** Wall clock, for people. */
  readonly now?: () => Instant;
  /** Milliseconds of a clock that nobody sets. */
  readonly elapsed?: () => number;
}

/** How far each node is. In memory; the store gets what a restart must know, a little later. */
export class Conditions {
  readonly #ports: ConditionsPorts;
  readonly #now: () => Instant;
  readonly #elapsed: () => number;
  readonly #known = new Map<Serial, Known>();
  readonly #unwritten = new Set<Serial>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  readonly #failures: (tell: (left: number) => void) => void;

  constructor(ports: ConditionsPorts) {
    this.#ports = ports;
    this.#now = ports.now ?? Date.now;
    this.#elapsed = ports.elapsed ?? (() => performance.now());
    this.#failures = throttle(LINES_INTERVAL_MS, this.#now);
    for (const { key, value } of ports.store.list(PREFIX)) {
      const serial = key.slice(PREFIX.length) as Serial;
      const { data } = documentSchema.safeParse(value);
      if (data && ports.node(serial)) this.#restore(serial, data);
      else this.#write(serial);
    }
    // The document goes in one transaction with the node.
    ports.store.watch('node/', (writes) => {
      for (const { kind, key } of writes)
        if (kind === 'delete') this.#known.delete(key.slice('node/'.length) as Serial);
    });
  }

  of(serial: Serial): NodeCondition {
    return this.#known.get(serial)?.condition ?? NEVER;
  }

  /** Its firmware asked DHCP, and begins a boot with that. */
  asked(serial: Serial): void {
    this.#learn(serial, (known) => {
      known.heardAt = this.#elapsed();
      known.lastFile = undefined;
      return { kind: 'asked' };
    });
  }

  /** It asked for the first file of a boot. */
  begun(serial: Serial, generation: StoredGeneration): void {
    this.#learn(serial, (known) => {
      known.heardAt = this.#elapsed();
      known.files.clear();
      known.lastFile = undefined;
      known.booting = generation;
      return { kind: 'begun' };
    });
  }

  /** It has read a file of its tree, or as much of it as it wanted. */
  served(serial: Serial, name: string, bytes: number): void {
    this.#learn(serial, (known) => {
      known.heardAt = this.#elapsed();
      known.lastFile = name;
      const generation = known.booting ?? this.#ports.given(serial)?.generation;
      const isOfTree = name === BOOT_IMG || (generation && Object.hasOwn(generation.boot.files, name));
      // Firmware reads some files twice, and looks at others first: each counts once. What is made for the node is small.
      if (isOfTree) known.files.set(name, Math.max(bytes, known.files.get(name) ?? 0));
      const got = [...known.files.values()].reduce((sum, each) => sum + each, 0);
      const all =
        known.files.has(BOOT_IMG) || !generation ? undefined : this.#ports.payload?.(serial, generation);
      return { kind: 'served', bytes: got, ...(all !== undefined && all >= got ? { ofBytes: all } : {}) };
    });
  }

  /** It has got its kernel. */
  kernel(serial: Serial): void {
    this.#learn(serial, (known) => {
      known.heardAt = this.#elapsed();
      known.kernelAt = this.#elapsed();
      known.files.clear();
      known.booting = undefined;
      known.target = this.#targetNow(serial);
      return { kind: 'kernel' };
    });
  }

  /** Its root is mounted: it has connected to the NFS server, or fetched its identity. */
  mounted(serial: Serial): void {
    this.#learn(serial, (known) => {
      known.system = 'mounted';
      return { kind: 'mounted' };
    });
  }

  /** It reports, and proved that it is the one. */
  reported(serial: Serial, report: Report): void {
    this.#learn(serial, (known) => {
      const at = this.#elapsed();
      known.reportedAt = at;
      known.system = report.state === 'stopping' ? 'down' : 'reports';
      const generation = this.#ports.given(serial)?.id;
      return { kind: 'report', report, generation, target: known.target, sinceState: at - known.stateAt };
    });
    if (this.#known.has(serial)) this.#ports.onReported?.(serial, this.of(serial));
  }

  /** We have switched its power. */
  switched(serial: Serial, power: 'cut' | 'given'): void {
    this.#learn(serial, (known) => {
      if (power === 'cut') known.system = 'down';
      return { kind: 'power', power };
    });
  }

  /**
   * Whether its system may run, whatever is fetched in its name: its root was mounted, it has not said that it stops, its
   * power was not cut, and if it reported, it did so lately. Of one that cannot report nobody knows: `false`.
   */
  mayRun(serial: Serial): boolean {
    const known = this.#known.get(serial);
    if (!known || known.system === 'down' || !this.#canReport(serial, known)) return false;
    return known.system === 'mounted' || this.#elapsed() - known.reportedAt < SILENT_MS;
  }

  /** Time has passed: to be called every few seconds. */
  tick(): void {
    const at = this.#elapsed();
    for (const serial of this.#known.keys()) {
      this.#learn(serial, (known) => ({
        kind: 'tick',
        reports: this.#canReport(serial, known),
        quiet: at - known.heardAt,
        lastFile: known.lastFile,
        sinceKernel: at - known.kernelAt,
        sinceReport: at - known.reportedAt,
      }));
    }
  }

  /** Those that have their kernel, and for how many milliseconds, but no root as yet. */
  awaitingRoot(): Map<Serial, number> {
    const at = this.#elapsed();
    const waiting = [...this.#known].filter(([, { condition }]) => condition.state === 'kernel');
    return new Map(waiting.map(([serial, { kernelAt }]) => [serial, at - kernelAt]));
  }

  /** Writes what is not written yet. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#writing;
    await this.#flush();
    clearTimeout(this.#timer);
  }

  #learn(serial: Serial, evidenceOf: (known: Known) => Evidence): void {
    const node = this.#ports.node(serial);
    if (!node) return;
    const known = this.#known.get(serial) ?? this.#meet(serial, NEVER);
    const before = known.condition;
    const { target } = known;
    const condition = stepNode(before, evidenceOf(known), this.#now());
    known.condition = condition;
    const { state, detail } = condition;
    if (state !== before.state) known.stateAt = this.#elapsed();
    const isOther = state !== before.state || (state === 'unhealthy' && detail !== before.detail);
    const isKept =
      isOther ||
      detail !== before.detail ||
      condition.hasReported !== before.hasReported ||
      target !== known.target;
    if (isKept) this.#write(serial);
    if (!isOther) return;
    this.#ports.events.tell({
      kind: 'node state',
      serial,
      name: node.name,
      state,
      before: before.state,
      ...(detail === undefined ? {} : { detail }),
    });
  }

  #meet(serial: Serial, condition: NodeCondition): Known {
    const at = this.#elapsed();
    const known: Known = {
      condition,
      stateAt: at,
      heardAt: at,
      kernelAt: at,
      reportedAt: at,
      system: 'down',
      files: new Map(),
      lastFile: undefined,
      booting: undefined,
      target: undefined,
    };
    this.#known.set(serial, known);
    return known;
  }

  /** Who was up has until it would be silent; who has its kernel has had a part of its time. */
  #restore(serial: Serial, { target, ...condition }: StateDocument): void {
    const known = this.#meet(serial, condition);
    known.target = target;
    known.stateAt -= Math.max(0, this.#now() - condition.since);
    known.kernelAt = known.stateAt;
    // Of a boot that took too long nobody knows how far it is.
    const isOverdue = condition.state === 'unhealthy' && condition.bytes === undefined;
    if (condition.hasReported) known.system = 'reports';
    else if (condition.state === 'root mounted' || isOverdue) known.system = 'mounted';
  }

  /** Of the role that it has now: what it boots with is held against it until it boots again. */
  #targetNow(serial: Serial): string | undefined {
    const role = this.#ports.node(serial)?.role;
    return role === undefined ? undefined : this.#ports.given(serial)?.generation?.roles[role]?.target;
  }

  /** A generation that is no longer there has reported or has not. */
  #canReport(serial: Serial, { condition }: Known): boolean {
    const generation = this.#ports.given(serial)?.generation;
    return generation ? canReport(generation) : (condition.hasReported ?? false);
  }

  #write(serial: Serial): void {
    this.#unwritten.add(serial);
    this.#timer ??= setTimeout(() => void this.#flush(), WRITE_MS).unref();
  }

  async #flush(): Promise<void> {
    await this.#writing;
    this.#timer = undefined;
    if (this.#unwritten.size === 0) return;
    const serials = [...this.#unwritten];
    this.#unwritten.clear();
    this.#writing = this.#ports.store
      .transact({ writes: serials.map((serial) => this.#documentOf(serial)) })
      .then(
        () => {},
        (error: unknown) => this.#keepForLater(serials, error),
      );
    await this.#writing;
  }

  #keepForLater(serials: readonly Serial[], error: unknown): void {
    for (const serial of serials) this.#unwritten.add(serial);
    this.#timer ??= setTimeout(() => void this.#flush(), WRITE_AGAIN_MS).unref();
    this.#failures((left) =>
      this.#ports.log.error(
        { id: 'STATE_NOT_STORED', nodes: serials.length, err: error, left },
        'the states of nodes could not be stored',
      ),
    );
  }

  #documentOf(serial: Serial): Write {
    const key = stateKey(serial);
    const known = this.#known.get(serial);
    if (!known) return { kind: 'delete', key };
    const { state, since, detail, bytes, hasReported } = known.condition;
    const { target } = known;
    const value: StateDocument = { state, since, detail, hasReported, target };
    return { kind: 'put', key, value: state === 'unhealthy' ? { ...value, bytes } : value };
  }
}
