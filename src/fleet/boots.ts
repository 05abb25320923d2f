import { z } from 'zod';
import type { BootPin, BootStage } from '../model/boot-pin.ts';
import type { StoredGeneration } from '../model/generation.ts';
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
});

/** Which generation a machine boots, or booted last. */
export type BootRecord = z.output<typeof recordSchema>;

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
  readonly published: (image: string) => StoredGeneration | undefined;
  readonly generation: (id: string) => StoredGeneration | undefined;
  readonly isNode: (serial: Serial) => boolean;
  readonly onBegun: (node: Node, generation: StoredGeneration) => void;
  /** Wall clock, for records. */
  readonly now?: () => Instant;
  /** Milliseconds of a clock that nobody sets. */
  readonly elapsed?: () => number;
}

/**
 * The boots of all nodes. A node that begins to boot is kept at the generation that is published in that moment, for every
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

  all(): BootRecord[] {
    return [...this.#records.values()];
  }

  /** What machines boot in this moment. */
  pinned(): StoredGeneration[] {
    const at = this.#elapsed();
    const sessions = [...this.#sessions.values()].filter(({ lastAt }) => at - lastAt <= SILENCE_MS);
    return [...new Set(sessions.map(({ generation }) => generation))];
  }

  /** A program asked DHCP: a boot begins with the next file, unless it is a copy, or a later stage of the boot under way. */
  announce(stage: BootStage): void {
    const at = this.#elapsed();
    const before = this.#stages.get(stage.serial);
    this.#stages.delete(stage.serial);
    this.#stages.set(stage.serial, { ...stage, at });
    if (this.#stages.size > MOST_STRANGERS * 2) {
      const stranger = [...this.#stages.keys()].find((serial) => !this.#ports.isNode(serial));
      if (stranger !== undefined) this.#stages.delete(stranger);
    }
    const session = this.#sessions.get(stage.serial);
    if (!session) return;
    const isCopy = before?.xid === stage.xid && before.order === stage.order && at - before.at < COPY_MS;
    const isLater = before && stage.order > before.order && at - session.lastAt < SILENCE_MS;
    const isBootcode = session.isInRom && at - session.lastAt < SILENCE_MS;
    if (!isCopy && !isLater && !isBootcode) session.isOver = true;
  }

  /** The generation that `name` of the node's tree comes from; `undefined` when none is published. */
  pin(node: Node, name: string): BootPin | undefined {
    const at = this.#elapsed();
    let session = this.#sessions.get(node.serial);
    if (!session || !isUnderWay(session, name, at)) session = this.#begin(node, name, at);
    if (!session) return undefined;
    session.lastAt = at;
    if (name !== session.record.first) session.hasAskedForMore = true;
    if (!ROM_FILES.has(name)) session.isInRom = false;
    if (!session.record.gotKernel && isKernel(session.generation, name)) this.#gotKernel(session);
    return session;
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
    const generation = this.#ports.published(node.image);
    if (!generation) return undefined;
    const { serial } = node;
    const last = this.#records.get(serial);
    const ran = last?.gotKernel ? last.generation : last?.before;
    const record: BootRecord = {
      serial,
      generation: generation.id,
      since: this.#now(),
      first: name,
      gotKernel: false,
      ...(ran === undefined || ran === generation.id ? {} : { before: ran }),
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
    const stored = this.#keep(record, this.#surplus(serial));
    session.stored = stored.then(() => {
      session.stored = undefined;
    });
    this.#ports.onBegun(node, generation);
    return session;
  }

  #gotKernel(session: Session): void {
    const { before: _, ...record } = session.record;
    session.record = { ...record, gotKernel: true };
    void this.#keep(session.record, []);
  }

  /** Resolves when it is durable, and also when that fails or takes too long. */
  async #keep(record: BootRecord, surplus: readonly Serial[]): Promise<void> {
    this.#records.delete(record.serial); // to the end of the order
    this.#records.set(record.serial, record);
    const put: Write = { kind: 'put', key: `${PREFIX}${record.serial}`, value: record };
    const deletes = surplus.map((serial): Write => ({ kind: 'delete', key: `${PREFIX}${serial}` }));
    const written = this.#ports.store
      .transact({ writes: [put, ...deletes] })
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
  #surplus(serial: Serial): Serial[] {
    if (this.#records.has(serial) || this.#ports.isNode(serial)) return [];
    if (this.#records.size < MOST_STRANGERS) return [];
    const strangers = [...this.#records.keys()].filter((each) => !this.#ports.isNode(each));
    const surplus = strangers.slice(0, Math.max(0, strangers.length - MOST_STRANGERS + 1));
    for (const each of surplus) {
      this.#records.delete(each);
      this.#sessions.delete(each);
    }
    return surplus;
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
function isKernel({ boot }: StoredGeneration, name: string): boolean {
  return name === boot.kernel || name === 'vmlinuz' || name === 'boot.img';
}
