import { randomBytes } from 'node:crypto';
import { Refusal } from '../model/command.ts';
import type { Node } from '../model/node.ts';
import { SILENT_MS } from '../model/node-state.ts';
import type { GivenOrder, Order, ReportMessage } from '../model/report.ts';
import type { Serial } from '../net/serial.ts';

/** What a node needs at most to come and take an order, when it listens. */
const WITHIN_MS = 90_000;
const ID_BYTES = 4;
const TOGETHER_MS = 5000;

/** Another order is to be taken first: the node has not refused this one. */
export class Busy extends Refusal {}

interface Pending extends GivenOrder {
  isSent: boolean;
  readonly settle: (error?: unknown) => void;
}

/** A node that waits for an order. */
interface Waiting {
  readonly give: (given: GivenOrder | undefined) => void;
}

export interface SendOptions {
  readonly signal?: AbortSignal | undefined;
  /** How long the node has to take it; a minute and a half unless told. */
  readonly withinMs?: number | undefined;
}

export interface OrdersPorts {
  /** For how many milliseconds nothing was heard of the node; `undefined` when nothing ever was. */
  readonly silentFor: (serial: Serial) => number | undefined;
  /** Milliseconds of a clock that nobody sets. */
  readonly elapsed: () => number;
}

/**
 * Orders on their way to nodes: one at a time for each. A node that waits gets it at once, any other with the answer to its
 * next report, and so again until it says that it has taken it: the connection of an answer may break.
 */
export class Orders {
  readonly #ports: OrdersPorts;
  readonly #pending = new Map<Serial, Pending>();
  readonly #waiting = new Map<Serial, Waiting>();

  constructor(ports: OrdersPorts) {
    this.#ports = ports;
  }

  /** Nodes that wait for an order now. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Resolves when the node has taken the order; what comes of it, its next reports tell.
   * @throws Refusal when it does not listen, or does not take it in time; {@link Busy} when it has another order to take
   * first; and the reason of `signal` when that is aborted first: then it does not get it any more, unless it just did.
   */
  send(node: Node, order: Order, { signal, withinMs = WITHIN_MS }: SendOptions = {}): Promise<void> {
    const { serial } = node;
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      this.#mustListen(node);
      const standing = this.#pending.get(serial);
      if (standing)
        throw new Busy(
          `Node ${node.name} has an order to take already: ${wordsOf(standing.order)}`,
          'Wait until it has.',
        );
      const late = () => pending.settle(this.#untaken(node, pending));
      const aborted = () => pending.settle(signal?.reason);
      const timer = setTimeout(late, withinMs);
      const pending: Pending = {
        id: randomBytes(ID_BYTES).toString('hex'),
        order,
        isSent: false,
        settle: (error) => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', aborted);
          this.#pending.delete(serial);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      signal?.addEventListener('abort', aborted);
      this.#pending.set(serial, pending);
      this.#waiting.get(serial)?.give(pending);
    });
  }

  /**
   * The node has reported: it may have taken its order, and gets the next one now, or when there is one, as long as it
   * waits. An earlier wait of its own is over.
   */
  exchange(message: ReportMessage, gone: AbortSignal): Promise<GivenOrder | undefined> {
    const { serial, report, done, waitSeconds } = message;
    this.#waiting.get(serial)?.give(undefined);
    const pending = this.#pending.get(serial);
    if (pending && done === pending.id) pending.settle();
    if (report.state === 'stopping') return Promise.resolve(undefined);
    const next = this.#pending.get(serial);
    if (next || waitSeconds === 0) return Promise.resolve(next);
    return this.#wait(serial, waitSeconds * 1000, gone);
  }

  /**
   * An answer with an order has left. Who has a whole order to reboot may be gone before it can say that it has taken it;
   * of any other order it is asked again.
   */
  sent(serial: Serial, given: GivenOrder, isWhole: boolean): void {
    const pending = this.#pending.get(serial);
    if (pending?.id !== given.id || !isWhole) return;
    pending.isSent = true;
    if (pending.order.kind === 'reboot') pending.settle();
  }

  /** The node has booted anew: an order to do so is done. */
  booted(serial: Serial): void {
    const pending = this.#pending.get(serial);
    if (pending?.order.kind === 'reboot') pending.settle();
    this.#waiting.get(serial)?.give(undefined);
  }

  removed(node: Pick<Node, 'serial' | 'name'>): void {
    this.#waiting.get(node.serial)?.give(undefined);
    this.#pending
      .get(node.serial)
      ?.settle(new Refusal(`Node ${node.name} was removed`, 'Its order was taken back.'));
  }

  #wait(serial: Serial, waitMs: number, gone: AbortSignal): Promise<GivenOrder | undefined> {
    return new Promise((resolve) => {
      const waiting: Waiting = {
        give: (given) => {
          clearTimeout(timer);
          gone.removeEventListener('abort', leave);
          if (this.#waiting.get(serial) === waiting) this.#waiting.delete(serial);
          resolve(given);
        },
      };
      const leave = () => waiting.give(undefined);
      const timer = setTimeout(leave, untilTogether(this.#ports.elapsed(), waitMs));
      gone.addEventListener('abort', leave);
      this.#waiting.set(serial, waiting);
      if (gone.aborted) leave();
    });
  }

  /** @throws Refusal */
  #mustListen({ serial, name }: Node): void {
    const silentMs = this.#ports.silentFor(serial);
    const remedy = `Reboot it by other means: "netboot power ${name} cycle" where its power can be switched, else by hand.`;
    if (silentMs === undefined)
      throw new Refusal(`Node ${name} has never reported, so it takes no orders`, remedy);
    if (silentMs > SILENT_MS) {
      const seconds = Math.round(silentMs / 1000);
      throw new Refusal(`Node ${name} has not reported for ${seconds} s, so it takes no orders`, remedy);
    }
  }

  #untaken({ name }: Node, { order, isSent }: Pending): Refusal {
    const what = wordsOf(order);
    const problem = isSent
      ? `Node ${name} was told to ${what} and did not say that it does`
      : `Node ${name} did not come to be told to ${what}`;
    return new Refusal(problem, `See "netboot show-node ${name}" for what it reports.`);
  }
}

/**
 * Long waits end together with others, a little early. A service that is woken for eighty nodes at once does with half of
 * the time that it takes to be woken for each, with all that it needs out of the processor's caches.
 */
function untilTogether(now: number, waitMs: number): number {
  if (waitMs < 4 * TOGETHER_MS) return waitMs;
  return waitMs - ((now + waitMs) % TOGETHER_MS);
}

const wordsOf = (order: Order): string => (order.kind === 'reboot' ? 'reboot' : `isolate ${order.target}`);
