import { randomInt } from 'node:crypto';
import {
  type EngineLimits,
  type EngineOrder,
  type EngineReport,
  gauge,
  type StartOrder,
} from './engine-port.ts';
import { EngineSocket, type OpenDatagrams } from './engine-socket.ts';
import { EFAULT } from './errno.ts';
import { Lanes } from './lanes.ts';
import { errorCode } from './packet.ts';
import { RecentPeers } from './recent-peers.ts';
import { lane, Running } from './running.ts';
import { outcome, type Outcome as Step } from './transfer.ts';

const WORTH_ANOTHER_LOOK = 2;
/** In a second. */
const MAX_STRANGERS_TOLD = 100;
/** A flood of datagrams does not put repetitions off for longer. */
const MAX_LATE_MS = 100;
/** A client port that asks again within this time gets another TID, out of reach of what is still on the wire. */
const RECENT_MS = 10_000;

export interface EngineOptions {
  readonly limits: EngineLimits;
  readonly gauges: Float64Array;
  readonly openDatagrams: OpenDatagrams;
  readonly report: (report: EngineReport) => void;
}

/**
 * Runs the transfers of one worker: takes the datagrams that came, many at a time, and answers all of them at once.
 * It never waits by itself; {@link turn} is called again and again by who also knows how to sleep.
 */
export class Engine {
  readonly #options: EngineOptions;
  readonly #gauges: Float64Array;
  readonly #lanes: Lanes;
  readonly #groups = new Map<number, EngineSocket[]>();
  /** All sockets, as they are polled. */
  sockets: readonly EngineSocket[] = [];
  readonly #byId = new Map<number, Running>();
  readonly #records: Array<Running | undefined> = [];
  readonly #free: number[] = [];
  readonly #recent = new RecentPeers<EngineSocket>(RECENT_MS, 8192);
  readonly #closing = new Set<number>();
  /** No deadline is earlier; it may itself be too early. */
  #nextCheck = Number.POSITIVE_INFINITY;
  #toldSince = 0;
  #told = 0;
  isStopped = false;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#gauges = options.gauges;
    this.#lanes = new Lanes({
      slots: options.limits.slots,
      send: (running) => this.#send(running),
      onDeadline: (deadline) => this.#expectDeadline(deadline),
    });
  }

  order(order: EngineOrder, now: number): void {
    switch (order.kind) {
      case 'sockets': {
        const opened = order.fds.map(
          (fd) =>
            new EngineSocket(
              fd,
              this.#options.openDatagrams(fd),
              this.#options.limits.transfers,
              randomInt(2 ** 31),
            ),
        );
        this.#groups.set(order.group, opened);
        this.sockets = [...this.#groups.values()].flat();
        return;
      }
      case 'close':
        this.#closing.add(order.group); // by the next turn
        return;
      case 'start':
        this.#start(order, now);
        return;
      case 'restart': {
        const running = this.#byId.get(order.id);
        if (running?.transfer.request(now)) this.#send(running);
        return;
      }
      case 'end': {
        const running = this.#byId.get(order.id);
        if (!running) return;
        if (order.tell !== undefined) running.socket.sendError(running, errorCode.undefined, order.tell);
        this.#over(running, { kind: 'ended' }, now);
        return;
      }
      case 'stop':
        this.isStopped = true;
        for (const socket of this.sockets) socket.release();
        this.sockets = [];
    }
  }

  /** Answers what has come to the sockets that are ready. */
  turn(now: number): void {
    // After a pause deadlines have passed whose ACKs lie in the sockets: all of those are taken first.
    const isDue = now >= this.#nextCheck;
    let isMoreThere = false;
    for (const socket of this.sockets) {
      if (!socket.isReady && !isDue) continue;
      const count = socket.receiver.receive();
      if (count === socket.receiver.capacity) isMoreThere = true;
      // While these are answered more will have come, if there were several; if not, it is cheaper to be told.
      socket.isReady = count >= WORTH_ANOTHER_LOOK;
      for (let i = 0; i < count; i += 1) this.#receive(socket, i, now);
    }
    if (isDue && (!isMoreThere || now - this.#nextCheck > MAX_LATE_MS)) this.#check(now);
    if (now >= this.#lanes.nextReview) this.#lanes.review(now);
    for (const socket of this.sockets) if (socket.sender.pending > 0) this.#flush(socket, now);
    if (this.#closing.size > 0) this.#closeUnused();
  }

  get isAnyReady(): boolean {
    for (const socket of this.sockets) if (socket.isReady) return true;
    return false;
  }

  /** Milliseconds until {@link turn} has something to do even if nothing comes. */
  idleMs(now: number): number {
    return Math.max(0, Math.min(this.#nextCheck, this.#lanes.nextReview) - now);
  }

  /** Brings the gauges up to date. */
  measure(now: number): void {
    const gauges = this.#gauges;
    gauges[gauge.heartbeat] = now;
    gauges[gauge.transfers] = this.#byId.size;
    gauges[gauge.running] = this.#lanes.running;
    gauges[gauge.waiting] = this.#lanes.waiting;
    gauges[gauge.longestWaitMs] = this.#lanes.longestWaitMs(now);
  }

  #start(order: StartOrder, now: number): void {
    const sockets = this.#groups.get(order.group);
    if (!sockets) {
      const reason = 'its sockets are closed';
      this.#options.report({ kind: 'over', id: order.id, outcome: { kind: 'failed', reason } });
      return;
    }
    const last = this.#recent.get(order.address, order.port, now);
    const isFree = (candidate: EngineSocket) => candidate.peers.get(order.address, order.port) < 0;
    const socket = sockets.find((one) => one !== last && isFree(one)) ?? sockets.find(isFree);
    if (!socket) throw new Error('a client port has two transfers'); // the service ends the old one first
    const index = this.#free.pop() ?? this.#records.length;
    const running = new Running(order, socket, index, this.#options.limits.smallBytes);
    this.#records[index] = running;
    this.#byId.set(order.id, running);
    socket.peers.set(order.address, order.port, index);
    running.transfer.start(now);
    this.#send(running);
  }

  #receive(socket: EngineSocket, i: number, now: number): void {
    const { receiver } = socket;
    const address = receiver.address(i);
    const port = receiver.port(i);
    const index = socket.peers.get(address, port);
    const block = socket.ackOf(i);
    const running = index < 0 ? undefined : this.#records[index];
    if (running === undefined) this.#receiveFromStranger(socket, i, now);
    else if (block >= 0) this.#follow(running, running.transfer.acknowledge(block, now), now);
    else this.#receiveOther(running, i, now);
  }

  /** RFC 1350 section 4: the stranger is told, once it is no late echo of a transfer that has ended. */
  #receiveFromStranger(socket: EngineSocket, i: number, now: number): void {
    const { receiver } = socket;
    const address = receiver.address(i);
    const port = receiver.port(i);
    const packet = socket.decode(i);
    if (!packet) this.#count(gauge.malformed, 1);
    else if (this.#recent.get(address, port, now) !== socket) {
      this.#count(gauge.strangers, 1);
      // An ERROR is never answered by an ERROR, and nobody has port 0.
      if (packet.kind === 'error' || port === 0 || !this.#mayTell(now)) return;
      socket.sendError({ address, port }, errorCode.unknownTid, 'unknown transfer ID');
    }
  }

  /** Forged senders get few errors out of us. */
  #mayTell(now: number): boolean {
    if (now - this.#toldSince >= 1000) {
      this.#toldSince = now;
      this.#told = 0;
    }
    this.#told += 1;
    return this.#told <= MAX_STRANGERS_TOLD;
  }

  #receiveOther(running: Running, i: number, now: number): void {
    const packet = running.socket.decode(i);
    if (packet?.kind !== 'error') {
      this.#count(gauge.malformed, 1);
      return;
    }
    // A Pi asks whether a file exists by starting to read it and sending ERROR 0 "Early terminate"; others refuse
    // the OACK with ERROR 8 once they have seen tsize. Both got what they wanted.
    if (packet.code === errorCode.undefined || packet.code === errorCode.optionsRefused) {
      this.#over(running, { kind: 'early-terminated' }, now);
      return;
    }
    const reason = `the client sent error ${packet.code} ${JSON.stringify(packet.message)}`;
    this.#over(running, { kind: 'failed', reason }, now);
  }

  #follow(running: Running, step: Step, now: number): void {
    const { transfer } = running;
    switch (step) {
      case outcome.nothing:
        // A block that was paced is acknowledged, and its deadline is the next one's turn.
        return;
      case outcome.restarted:
        // It keeps its slot, or its place in the line.
        running.returnToFresh();
        this.#follow(running, outcome.progress, now);
        return;
      case outcome.progress:
        if (!running.hasAnswered) {
          running.hasAnswered = true;
          this.#options.report({ kind: 'answered', id: running.id });
        }
        if (running.lane !== lane.open && !this.#lanes.mayGoOn(running, now)) return;
        transfer.open(now, transfer.terms.windowSize);
        break;
      case outcome.again:
        transfer.open(now, running.lane === lane.waiting ? 1 : transfer.terms.windowSize);
        this.#count(gauge.retransmissions, 1);
        break;
      case outcome.doubtful:
        this.#expectDeadline(transfer.deadline);
        this.#count(gauge.retransmissions, 1);
        this.#count(
          gauge.bytes,
          running.socket.sendBlocks(running, transfer.answer, transfer.answer, this.#onRefused),
        );
        return;
      case outcome.completed:
        this.#over(running, { kind: 'completed' }, now);
        return;
      case outcome.unconfirmed:
        this.#over(running, { kind: 'unconfirmed' }, now);
        return;
      case outcome.gone: {
        const reason = `no answer to block ${transfer.acked + 1}`;
        // An address that never answered gets nothing more: perhaps it never asked.
        if (running.hasAnswered) running.socket.sendError(running, errorCode.undefined, reason);
        this.#over(running, { kind: 'timeout', reason }, now);
        return;
      }
    }
    this.#send(running);
  }

  /** Calls on every transfer whose deadline has passed. */
  #check(now: number): void {
    this.#nextCheck = Number.POSITIVE_INFINITY;
    for (let index = 0; index < this.#records.length; index += 1) {
      const running = this.#records[index];
      if (running === undefined) continue;
      if (running.transfer.deadline > now) {
        this.#expectDeadline(running.transfer.deadline);
      } else if (running.isPaused) {
        running.pacedAt = now;
        running.transfer.open(now, 1);
        this.#send(running);
      } else this.#follow(running, running.transfer.expire(now), now);
    }
    this.#recent.forget(now);
  }

  #expectDeadline(deadline: number): void {
    if (deadline < this.#nextCheck) this.#nextCheck = deadline;
  }

  /** Puts what the transfer has opened to the datagrams that wait to be sent. */
  #send(running: Running): void {
    const { transfer } = running;
    running.isPaused = false;
    this.#expectDeadline(transfer.deadline);
    this.#count(gauge.bytes, running.socket.sendWindow(running, this.#onRefused));
    // With its last window on the way it needs no slot any more, however long the last ACK takes.
    if (running.lane === lane.admitted && transfer.isEnding) {
      this.#lanes.leave(running);
      this.#isSlotFree = true;
    }
  }

  #isSlotFree = false;
  readonly #refused: Array<{ readonly running: Running; readonly errno: number }> = [];
  readonly #onRefused = (index: number, errno: number): void => {
    this.#count(gauge.unsent, 1);
    const running = this.#records[index];
    if (running) this.#refused.push({ running, errno });
  };

  #flush(socket: EngineSocket, now: number): void {
    socket.flush(this.#onRefused);
    for (const { running, errno } of this.#refused.splice(0)) {
      // What cannot be sent now (no route, no buffers) got lost, and the deadline sends it again. But a page of the
      // file that is gone will not come back: it was truncated, or its disk fails.
      if (errno !== EFAULT || !this.#byId.has(running.id)) continue;
      const reason = 'the file was changed while it was read';
      socket.sendError(running, errorCode.undefined, 'the appliance cannot read this file any more');
      this.#over(running, { kind: 'failed', reason }, now);
    }
    if (this.#isSlotFree) {
      this.#isSlotFree = false;
      this.#lanes.admit(now);
    }
    if (socket.sender.pending > 0) this.#flush(socket, now);
  }

  #over(running: Running, result: Extract<EngineReport, { kind: 'over' }>['outcome'], now: number): void {
    // Before the file is given back: nothing that points to it may be left.
    if (running.socket.sender.pending > 0) running.socket.flush(this.#onRefused);
    this.#lanes.leave(running);
    this.#byId.delete(running.id);
    this.#records[running.index] = undefined;
    this.#free.push(running.index);
    running.socket.peers.delete(running.address, running.port);
    this.#recent.set(running.address, running.port, running.socket, now);
    this.#options.report({ kind: 'over', id: running.id, outcome: result });
    if (this.#lanes.waiting > 0) this.#lanes.admit(now);
  }

  /** Only between turns: a turn walks the datagrams that lie in the sockets' memory. */
  #closeUnused(): void {
    for (const group of this.#closing) {
      const sockets = this.#groups.get(group) ?? [];
      if (sockets.some(({ peers }) => peers.size > 0)) continue;
      this.#closing.delete(group);
      this.#groups.delete(group);
      this.sockets = [...this.#groups.values()].flat();
      for (const socket of sockets) socket.release();
      this.#options.report({ kind: 'closed', group });
    }
  }

  #count(which: number, by: number): void {
    this.#gauges[which] = (this.#gauges[which] as number) + by;
  }
}
