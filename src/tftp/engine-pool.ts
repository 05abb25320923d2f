import type { Log } from '../model/log.ts';
import type { WarningSink } from '../model/warnings.ts';
import { EngineHandle, type Wake } from './engine-handle.ts';
import type { EngineLimits, EngineReport, gauge, StartOrder } from './engine-port.ts';

/** Sockets that transfers go by, as bare descriptors: the engines use them by system calls of their own. */
export interface TransferSockets {
  /** What they are bound to now; once it is another address, new transfers need new sockets. */
  addressOf(interfaceName: string): string | undefined;
  /** Bound to any free port of the interface. @throws Error */
  open(interfaceName: string): { readonly fd: number; close(): void };
}

export interface EnginePoolOptions {
  readonly entry: URL;
  readonly workers: number;
  readonly openWake: () => Wake;
  readonly transferSockets: TransferSockets;
  readonly limits: EngineLimits;
  readonly stuckMs?: number;
  readonly warnings: WarningSink;
  readonly log: Log;
  readonly onOver: (report: Extract<EngineReport, { kind: 'over' }>) => void;
  readonly onAnswered: (id: number) => void;
}

/** The sockets an engine was given for an interface. */
interface Group {
  readonly group: number;
  readonly interface: string;
  readonly address: string | undefined;
  readonly opened: ReadonlyArray<{ readonly fd: number; close(): void }>;
}

interface Member {
  readonly handle: EngineHandle;
  readonly groups: Map<number, Group>;
  /** By interface: the sockets of new transfers. */
  readonly current: Map<string, Group>;
  readonly running: Set<number>;
}

/** A client port's next transfer goes by another socket than its last. */
const SOCKETS_PER_INTERFACE = 2;
/** An engine that dies this often has a reason that a new one has, too. */
const MAX_DEATHS = 5;
const COUNTING = ['bytes', 'retransmissions', 'strangers', 'malformed', 'unsent'] as const;
const DEATHS_WITHIN_MS = 60_000;
const STUCK = 'TFTP_ENGINE_STUCK';

/** The engines, each with its thread and its sockets. One that dies is told of, and replaced. */
export class EnginePool {
  readonly #options: EnginePoolOptions;
  readonly #members: Member[] = [];
  readonly #byTransfer = new Map<number, Member>();
  readonly #deaths: number[] = [];
  #groups = 0;
  #isStopped = false;
  /** What engines that died had counted. */
  readonly #past = new Map<keyof typeof gauge, number>();

  constructor(options: EnginePoolOptions) {
    this.#options = options;
    for (let i = 0; i < options.workers; i += 1) this.#members.push(this.#open());
  }

  /** @throws Error when there are no sockets for the interface. */
  start(interfaceName: string, order: Omit<StartOrder, 'kind' | 'group'>): void {
    const able = this.#able;
    const member = (able.length > 0 ? able : this.#members).reduce((least, other) =>
      other.handle.load < least.handle.load ? other : least,
    );
    const { group } = this.#groupOf(member, interfaceName);
    this.#byTransfer.set(order.id, member);
    member.running.add(order.id);
    member.handle.load += 1;
    member.handle.post({ kind: 'start', group, ...order });
  }

  /** @returns false when the engine that has it hangs, and there is one that does not */
  restart(id: number): boolean {
    const handle = this.#byTransfer.get(id)?.handle;
    if (handle?.isStuck() && this.#able.length > 0) return false;
    handle?.post({ kind: 'restart', id });
    return true;
  }

  /** Those that do not hang. */
  get #able(): readonly Member[] {
    return this.#members.filter(({ handle }) => !handle.isStuck());
  }

  /** Its end is told as that of every other one. */
  end(id: number, tell?: string): void {
    const order = { kind: 'end', id } as const;
    this.#byTransfer.get(id)?.handle.post(tell === undefined ? order : { ...order, tell });
  }

  /** Of all engines together. */
  sum(name: keyof typeof gauge): number {
    return this.#members.reduce((sum, { handle }) => sum + handle.gauge(name), this.#past.get(name) ?? 0);
  }

  most(name: keyof typeof gauge): number {
    return Math.max(0, ...this.#members.map(({ handle }) => handle.gauge(name)));
  }

  get size(): number {
    return this.#members.length;
  }

  /** Tells of engines that hang, for as long as they do. To be called every few seconds. */
  watch(): void {
    const stuck = this.#members.length - this.#able.length;
    if (stuck === 0) this.#options.warnings.clear(STUCK);
    else {
      const which = `${stuck} of ${this.#members.length} TFTP engines`;
      const text = `${which} hang, and so does what they send: look for a failing disk in the kernel's messages`;
      this.#options.warnings.raise(STUCK, text);
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(
      this.#members.map(async (member) => {
        await member.handle.stop();
        closeSockets(member);
      }),
    );
  }

  #open(): Member {
    const { entry, openWake, limits, stuckMs } = this.#options;
    const member: Member = {
      groups: new Map(),
      current: new Map(),
      running: new Set(),
      handle: new EngineHandle({
        entry,
        openWake,
        limits,
        ...(stuckMs === undefined ? {} : { stuckMs }),
        onReports: (reports) => this.#take(member, reports),
        onDeath: (cause) => this.#bury(member, cause),
      }),
    };
    return member;
  }

  #take(member: Member, reports: readonly EngineReport[]): void {
    for (const report of reports) {
      switch (report.kind) {
        case 'over':
          this.#forget(member, report.id);
          this.#options.onOver(report);
          break;
        case 'answered':
          this.#options.onAnswered(report.id);
          break;
        case 'closed': {
          const group = member.groups.get(report.group);
          member.groups.delete(report.group);
          for (const socket of group?.opened ?? []) socket.close();
        }
      }
    }
  }

  #forget(member: Member, id: number): void {
    if (!member.running.delete(id)) return;
    member.handle.load -= 1;
    this.#byTransfer.delete(id);
  }

  /** Clients of a dead engine ask again after a second or two, and find another one. @throws Error when it is hopeless */
  #bury(member: Member, cause: Error): void {
    closeSockets(member);
    for (const name of COUNTING) {
      this.#past.set(name, (this.#past.get(name) ?? 0) + member.handle.gauge(name));
    }
    const reason = `the engine died: ${cause.message}`;
    for (const id of [...member.running]) {
      this.#forget(member, id);
      this.#options.onOver({ kind: 'over', id, outcome: { kind: 'failed', reason } });
    }
    if (this.#isStopped) return;
    this.#options.log.error({ id: 'TFTP_ENGINE_DIED', err: cause }, 'a TFTP engine died and is replaced');
    const now = Date.now();
    this.#deaths.push(now);
    if (this.#deaths.filter((at) => at > now - DEATHS_WITHIN_MS).length > MAX_DEATHS) {
      throw new Error('TFTP engines die as soon as they are started', { cause });
    }
    this.#members[this.#members.indexOf(member)] = this.#open();
  }

  #groupOf(member: Member, interfaceName: string): Group {
    const { transferSockets: sockets } = this.#options;
    const address = sockets.addressOf(interfaceName);
    const known = member.current.get(interfaceName);
    if (known && known.address === address) return known;
    const opened: Array<ReturnType<TransferSockets['open']>> = [];
    try {
      while (opened.length < SOCKETS_PER_INTERFACE) opened.push(sockets.open(interfaceName));
    } catch (error) {
      for (const socket of opened) socket.close();
      throw error;
    }
    this.#groups += 1;
    const group = { group: this.#groups, interface: interfaceName, address, opened };
    member.groups.set(group.group, group);
    member.current.set(interfaceName, group);
    member.handle.post({ kind: 'sockets', group: group.group, fds: opened.map(({ fd }) => fd) });
    if (known) member.handle.post({ kind: 'close', group: known.group });
    return group;
  }
}

function closeSockets({ groups, current }: Member): void {
  for (const { opened } of groups.values()) for (const socket of opened) socket.close();
  groups.clear();
  current.clear();
}
