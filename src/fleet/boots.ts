import { z } from 'zod';
import type { BootPin, BootStage } from '../model/boot-pin.ts';
import { canReport, type StoredGeneration } from '../model/generation.ts';
import type { Instant } from '../model/lease.ts';
import type { Log } from '../model/log.ts';
import type { Node } from '../model/node.ts';
import { throttle } from '../model/throttle.ts';
import type { Serial } from '../net/serial.ts';
import type { Store, Write } from './store.ts';

const PREFIX = 'boot/';

const recordSchema = z.object({
  serial: z.string().transform((serial) => serial as Serial),
  generation: z.string(),
  /** Milliseconds since 1970. */
  since: z.number(),
  /** The name that this boot asked for first. */
  first: z.string(),
  /** It has asked for the kernel: what it booted before runs no more. */
  gotKernel: z.boolean(),
  /** Until then: what it may still be running, when it was somebody else who asked. */
  before: z.string().optional(),
  /** It came up. */
  isUp: z.boolean().optional(),
  /** A person or a rollout wants it tried anew: this boot is not counted as one that failed. */
  isForgiven: z.boolean().optional(),
  /** What it came up with last, in this boot or an earlier one. */
  good: z.string().optional(),
  /** What it was to boot, and how often in a row that got its kernel and never came up; gone when it does. */
  failed: z.object({ generation: z.string(), boots: z.number() }).optional(),
});

/** Which generation a machine boots, or booted last. */
export type BootRecord = z.output<typeof recordSchema>;

/** A node did not come up often enough with what it is to boot, and gets what it came up with last. */
export interface FallBack {
  readonly from: string;
  readonly to: StoredGeneration;
  readonly attempts: number;
}

interface Session {
  record: BootRecord;
  readonly generation: StoredGeneration;
  readonly begunAt: number;
  lastAt: number;
  isOver: boolean;
  hasAskedForMore: boolean;
  /** Nothing but what the ROM of a Pi 3 asks for: bootcode.bin comes next, and asks DHCP as if it were the ROM of a 3B+. */
  isInRom: boolean;
  stored: Promise<void> | undefined;
}

/**
 * A boot is over when nothing was asked for so long. What lies between two requests is one file: firmware gives one 30 s
 * (TFTP_FILE_TIMEOUT; a Pi 3 knows no limit), and the slowest we send, with hundreds of others beside it, takes
 * two or three minutes.
 */
const SILENCE_MS = 5 * 60_000;
/**
 * A machine that asks for its first name again has begun anew after so long. Firmware itself reads config.txt up to seven
 * times in a boot, but all of that before the kernel, and what lies before the last time are four files of 30 s at most.
 */
const FIRST_AGAIN_MS = 2 * 60_000;
/** When it has asked for nothing else: firmware that got no answer repeats itself after 2 s, and reads a file right after a look at it. */
const ALONE_AGAIN_MS = 5000;
/** All Pi 3 have one xid for all their messages, so that a copy of a DISCOVER is known by its time alone. */
const COPY_MS = 3000;
/** Behind the kernel it need not wait so long: no Pi is reset and has its link again in less than three seconds. */
const RESET_MS = 2000;
/** A boot that is older than this when the service starts is no longer under way. */
const LONGEST_BOOT_MS = 15 * 60_000;
/** Better an answer that a restart of the service might contradict than a Pi that gives up: it asks again after 2 s. */
const MOST_WAIT_MS = 1000;
const ROM_FILES: ReadonlySet<string> = new Set(['bootcode.bin', 'bootsig.bin']);
/** Machines that are no nodes, but are served: more than this is a flood of invented ones. */
const MOST_STRANGERS = 1024;
const LINES_INTERVAL_MS = 10_000;

export interface BootsPorts {
  readonly store: Store;
  readonly log: Log;
  /** What the node is to boot: its own assignment, else what its image stands for. */
  readonly intended: (node: Node) => StoredGeneration | undefined;
  readonly generation: (id: string) => StoredGeneration | undefined;
  readonly isNode: (serial: Serial) => boolean;
  readonly onBegun: (node: Node, generation: StoredGeneration) => void;
  /** What is to be stored in the same transaction as the beginning of a boot. */
  readonly alongside?: (node: Node, generation: StoredGeneration, at: Instant) => readonly Write[];
  /** `nodes.attempts` of the configuration: boots in a row without coming up, after which a node gets its last good one. */
  readonly attempts?: number;
  readonly onFellBack?: (node: Node, fallBack: FallBack) => void;
  /** Wall clock, for records. */
  readonly now?: () => Instant;
  /** Milliseconds of a clock that nobody sets. */
  readonly elapsed?: () => number;
}

/**
 * The boots of all nodes. A node that begins to boot is kept at the generation that it is to have in that moment, for every
 * file, until it begins anew: its firmware asks DHCP, or, where another server answers that, a first request tells.
 */
export class Boots {
  readonly #ports: BootsPorts;
  readonly #now: () => Instant;
  readonly #elapsed: () => number;
  readonly #records = new Map<Serial, BootRecord>();
  readonly #sessions = new Map<Serial, Session>();
  readonly #stages = new Map<Serial, BootStage & { readonly at: number }>();
  readonly #unstored: (tell: (left: number) => void) => void;

  constructor(ports: BootsPorts) {
    this.#ports = ports;
    this.#now = ports.now ?? Date.now;
    this.#elapsed = ports.elapsed ?? (() => performance.now());
    this.#unstored = throttle(LINES_INTERVAL_MS, this.#now);
    const records = ports.store.list(PREFIX).map(({ value }) => recordSchema.parse(value));
    for (const record of records.sort((a, b) => a.since - b.since)) this.#restore(record);
  }

  /** The machine's last boot. */
  record(serial: Serial): BootRecord | undefined {
    return this.#records.get(serial);
  }

  /** Milliseconds since the boot that began at `since`; `undefined` when that is not the machine's last one. */
  ageOf(serial: Serial, since: Instant): number | undefined {
    const session = this.#sessions.get(serial);
    return session?.record.since === since ? this.#elapsed() - session.begunAt : undefined;
  }

  all(): BootRecord[] {
    return [...this.#records.values()];
  }

  /** What machines boot in this moment. */
  pinned(): StoredGeneration[] {
    const at = this.#elapsed();
    const sessions = [...this.#sessions.values()].filter(({ lastAt }) => at - lastAt <= SILENCE_MS);
    return [...new Set(sessions.map(({ generation }) => generation))];
  }

  /**
   * A program asked DHCP: a boot begins with the next file, unless it is a copy, or a later stage of the boot under way.
   * @returns whether it does.
   */
  announce(stage: BootStage): boolean {
    const at = this.#elapsed();
    const before = this.#stages.get(stage.serial);
    this.#stages.delete(stage.serial);
    this.#stages.set(stage.serial, { ...stage, at });
    if (this.#stages.size > MOST_STRANGERS * 2) {
      const stranger = [...this.#stages.keys()].find((serial) => !this.#ports.isNode(serial));
      if (stranger !== undefined) this.#stages.delete(stranger);
    }
    const session = this.#sessions.get(stage.serial);
    if (!session) return true;
    const isCopy = before?.xid === stage.xid && before.order === stage.order && at - before.at < COPY_MS;
    const isLater = before && stage.order > before.order && at - session.lastAt < SILENCE_MS;
    const isBootcode = session.isInRom && at - session.lastAt < SILENCE_MS;
    const isNew = !isCopy && !isLater && !isBootcode;
    if (isNew) session.isOver = true;
    return isNew;
  }

  /** The generation that `name` of the node's tree comes from; `undefined` when none is published. */
  pin(node: Node, name: string): (BootPin & { readonly since: Instant }) | undefined {
    const at = this.#elapsed();
    let session = this.#sessions.get(node.serial);
    if (!session || !isUnderWay(session, name, at)) session = this.#begin(node, name, at);
    if (!session) return undefined;
    session.lastAt = at;
    if (name !== session.record.first) session.hasAskedForMore = true;
    if (!ROM_FILES.has(name)) session.isInRom = false;
    if (!session.record.gotKernel && isKernel(session.generation, name)) this.#gotKernel(session);
    const { generation, stored, record } = session;
    return { generation, stored, since: record.since };
  }

  /** The node reports that it is up with this generation: to that it can always go back. */
  cameUp(serial: Serial, generation: string): void {
    const last = this.#records.get(serial);
    if (!last) return;
    const isThis = last.generation === generation && last.gotKernel;
    if (last.good === generation && (!isThis || last.isUp)) return;
    const { failed, ...rest } = last;
    const kept = failed?.generation === generation ? {} : { failed };
    void this.#keep({
      ...rest,
      ...(failed ? kept : {}),
      good: generation,
      ...(isThis ? { isUp: true } : {}),
    });
  }

  /** It gets what it is to boot again, however often it failed with that: known at once. @returns for a transaction. */
  retrial(serial: Serial): Write[] {
    const last = this.#records.get(serial);
    if (!last) return [];
    const { failed, ...rest } = last;
    // Also who was forgiven: that may not have been stored.
    return failed || !last.isUp || last.isForgiven ? [this.#take({ ...rest, isForgiven: true })] : [];
  }

  /**
   * The node is removed: who is added in its place has come up with nothing, and failed with nothing. Known at once, so that
   * what its boot still asks for does not bring it back. @returns for a transaction.
   */
  removal(serial: Serial): Write[] {
    const last = this.#records.get(serial);
    if (!last) return [];
    const { failed: _, good: __, ...rest } = last;
    return [this.#take({ ...rest, isForgiven: true })];
  }

  /** What the node would get instead of what it is to boot. */
  fallBack(node: Node): FallBack | undefined {
    const intended = this.#ports.intended(node);
    return intended && this.#fallBackFrom(node, intended, this.#failures(node.serial, intended.id));
  }

  #restore(record: BootRecord): void {
    this.#records.set(record.serial, record);
    const generation = this.#ports.generation(record.generation);
    if (!generation || this.#now() - record.since > LONGEST_BOOT_MS) return;
    const at = this.#elapsed();
    this.#sessions.set(record.serial, {
      record,
      generation,
      begunAt: at - Math.max(0, this.#now() - record.since),
      lastAt: at,
      isOver: false,
      hasAskedForMore: true,
      isInRom: ROM_FILES.has(record.first) && !record.gotKernel,
      stored: undefined,
    });
  }

  #begin(node: Node, name: string, at: number): Session | undefined {
    const intended = this.#ports.intended(node);
    if (!intended) return undefined;
    const { serial } = node;
    const last = this.#records.get(serial);
    const failures = this.#failures(serial, intended.id);
    const fallBack = this.#fallBackFrom(node, intended, failures);
    const generation = fallBack?.to ?? intended;
    const ran = last?.gotKernel ? last.generation : last?.before;
    const record: BootRecord = {
      serial,
      generation: generation.id,
      since: this.#now(),
      first: name,
      gotKernel: false,
      ...(ran === undefined || ran === generation.id ? {} : { before: ran }),
      ...(last?.good === undefined ? {} : { good: last.good }),
      ...(failures > 0 ? { failed: { generation: intended.id, boots: failures } } : {}),
    };
    const session: Session = {
      record,
      generation,
      begunAt: at,
      lastAt: at,
      isOver: false,
      hasAskedForMore: false,
      isInRom: true,
      stored: undefined,
    };
    this.#sessions.set(serial, session);
    const alongside = this.#ports.alongside?.(node, generation, record.since) ?? [];
    const stored = this.#keep(record, [...this.#surplus(serial), ...alongside]);
    session.stored = stored.then(() => {
      session.stored = undefined;
    });
    this.#ports.onBegun(node, generation);
    if (fallBack && last?.generation === intended.id) this.#ports.onFellBack?.(node, fallBack);
    return session;
  }

  /** How often in a row the node, up to its last boot, got the kernel of this generation and never came up with it. */
  #failures(serial: Serial, intended: string): number {
    const last = this.#records.get(serial);
    const before = last?.failed?.generation === intended ? last.failed.boots : 0;
    if (last?.generation !== intended || !last.gotKernel) return before;
    if (last.isUp) return 0;
    return last.isForgiven ? before : before + 1;
  }

  /** One that does not report never comes up, and nothing is known of it. */
  #fallBackFrom(node: Node, intended: StoredGeneration, failures: number): FallBack | undefined {
    const good = this.#records.get(node.serial)?.good;
    if (failures < (this.#ports.attempts ?? Number.POSITIVE_INFINITY) || good === undefined) return undefined;
    const to = this.#ports.generation(good);
    const isOther = to !== undefined && to.id !== intended.id && to.image === intended.image;
    if (!isOther || !canReport(intended)) return undefined;
    return { from: intended.id, to, attempts: failures };
  }

  /** Known from now on, also of a boot that is under way. @returns for a transaction. */
  #take(record: BootRecord): Write {
    const session = this.#sessions.get(record.serial);
    if (session) session.record = record;
    this.#records.delete(record.serial); // to the end of the order
    this.#records.set(record.serial, record);
    return { kind: 'put', key: `${PREFIX}${record.serial}`, value: record };
  }

  #gotKernel(session: Session): void {
    const { before: _, ...record } = session.record;
    void this.#keep({ ...record, gotKernel: true });
  }

  /** Resolves when it is durable, and also when that fails or takes too long. */
  async #keep(record: BootRecord, alongside: readonly Write[] = []): Promise<void> {
    const written = this.#ports.store
      .transact({ writes: [this.#take(record), ...alongside] })
      .catch((error: unknown) =>
        this.#unstored((left) =>
          this.#ports.log.error(
            { id: 'BOOT_NOT_STORED', serial: record.serial, generation: record.generation, err: error, left },
            'what a node boots could not be stored',
          ),
        ),
      );
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise((resolve) => {
      timer = setTimeout(resolve, MOST_WAIT_MS).unref();
    });
    await Promise.race([written, patience]);
    clearTimeout(timer);
  }

  /** A stranger more than there is room for pushes out the one that booted longest ago. */
  #surplus(serial: Serial): Write[] {
    if (this.#records.has(serial) || this.#ports.isNode(serial)) return [];
    if (this.#records.size < MOST_STRANGERS) return [];
    const strangers = [...this.#records.keys()].filter((each) => !this.#ports.isNode(each));
    const surplus = strangers.slice(0, Math.max(0, strangers.length - MOST_STRANGERS + 1));
    for (const each of surplus) {
      this.#records.delete(each);
      this.#sessions.delete(each);
    }
    return surplus.map((each) => ({ kind: 'delete', key: `${PREFIX}${each}` }));
  }
}

/** Whether this request belongs to the boot that the session is of. */
function isUnderWay(
  { isOver, lastAt, begunAt, record, hasAskedForMore }: Session,
  name: string,
  at: number,
): boolean {
  if (isOver || at - lastAt > SILENCE_MS) return false;
  if (name !== record.first) return true;
  if (!hasAskedForMore) return at - lastAt < ALONE_AGAIN_MS;
  return record.gotKernel ? at - lastAt < RESET_MS : at - begunAt < FIRST_AGAIN_MS;
}

/** The last of a boot, or nearly so; U-Boot takes the plain kernel beside the Pis', and boot.img has all in it. */
export function isKernel({ boot }: StoredGeneration, name: string): boolean {
  return name === boot.kernel || name === 'vmlinuz' || name === 'boot.img';
}
