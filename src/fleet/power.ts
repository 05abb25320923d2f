import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { Refusal } from '../model/command.ts';
import type { Log } from '../model/log.ts';
import type { Node } from '../model/node.ts';
import { oneAtATime } from '../model/one-at-a-time.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import type { Mac } from '../net/mac.ts';
import type { Serial } from '../net/serial.ts';
import type { FleetEvent } from './events.ts';

export type PowerAction = 'on' | 'off' | 'cycle';

/** Enough for a capacitor to run empty: a board that has its power back too soon goes on as if nothing had been. */
const OFF_MS = 5_000;

/** Of giving a node back the power that a cycle has cut. */
const MOST_TRIES = 3;

/** The power of the node may be gone, and was not given back. */
export class LeftOff extends Refusal {}

/** How a program ended that switches power, and the last line it printed. */
export interface SwitchOutcome {
  readonly kind: 'done' | 'failed' | 'hung' | 'stopped' | 'not there';
  /** `exit 3`, `SIGSEGV`. */
  readonly how: string;
  readonly lastLine: string;
}

/** Runs a program until it ends or the time is over; then nothing of it is left. Never rejects. */
export type RunSwitch = (
  argv: readonly [string, ...string[]],
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined },
) => Promise<SwitchOutcome>;

export interface PowerPorts {
  readonly templates: Config['power'];
  readonly runSwitch: RunSwitch;
  readonly addressOf: (node: Node) => Ipv4 | undefined;
  readonly tell: (event: FleetEvent) => void;
  /** The node's power is gone, or is there. */
  readonly onSwitched: (serial: Serial, power: 'cut' | 'given') => void;
  readonly log: Log;
  /** How long a cycle leaves it off where the template has no `cycle` of its own. */
  readonly offMs?: number;
}

/** Switches the power of nodes by the programs of the configuration; of each node one thing at a time. */
export class Power {
  readonly #ports: PowerPorts;
  readonly #stopping = new AbortController();
  readonly #running = new Set<Promise<void>>();
  readonly #inTurn = new Map<Serial, { readonly run: ReturnType<typeof oneAtATime>; waiting: number }>();

  constructor(ports: PowerPorts) {
    this.#ports = ports;
  }

  /** Whether anything is configured that switches this node's power. */
  can(node: Node): boolean {
    return node.power !== undefined && this.#ports.templates[node.power] !== undefined;
  }

  /**
   * A `cycle` that has begun is finished when `signal` is aborted, only without its pause: half of it leaves a node off.
   * @throws Refusal when there is no such template, the node lacks what it names, or its program fails or hangs.
   */
  async switch(
    node: Node,
    action: PowerAction,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    const turn = this.#inTurn.get(node.serial) ?? { run: oneAtATime(), waiting: 0 };
    this.#inTurn.set(node.serial, turn);
    turn.waiting += 1;
    const either = AbortSignal.any([this.#stopping.signal, ...(signal ? [signal] : [])]);
    const running = turn.run(() => this.#switch(node, action, either));
    this.#running.add(running);
    try {
      await running;
    } catch (error) {
      if (error instanceof Refusal && error !== this.#stopping.signal.reason) this.#complain(node, error);
      throw error;
    } finally {
      this.#running.delete(running);
      turn.waiting -= 1;
      if (turn.waiting === 0) this.#inTurn.delete(node.serial);
    }
  }

  /** Ends what runs, but for cycles: what they switch off is switched on again first. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Refusal('The service stops', 'Ask again when it is back.'));
    await Promise.allSettled(this.#running);
  }

  async #switch(node: Node, action: PowerAction, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const template = this.#templateOf(node);
    // First all that can be refused, so that no node is left off for want of the way back.
    const fill = (argv: readonly string[]) => this.#fill(node, argv);
    const own = template[action];
    if (own) {
      await this.#run(node, action, fill(own), action === 'cycle' ? undefined : signal);
      if (action !== 'on') this.#ports.onSwitched(node.serial, 'cut');
      if (action !== 'off') this.#ports.onSwitched(node.serial, 'given');
      return;
    }
    const { on, off } = template;
    if (action !== 'cycle' || !on || !off) {
      throw new Refusal(
        `The power template "${node.power}" of ${node.name} has no "${action}"`,
        `Add one to power.${node.power} in the configuration${template.cycle ? ', or say "cycle"' : ''}.`,
      );
    }
    const back = fill(on);
    try {
      await this.#run(node, 'off', fill(off), undefined);
    } catch (error) {
      if (!(error instanceof LeftOff)) throw error;
      const isBack = await this.#giveBack(node, back, signal).then(
        () => true,
        () => false,
      );
      throw isBack ? new Refusal(error.problem, error.remedy) : error;
    }
    this.#ports.onSwitched(node.serial, 'cut');
    await this.#giveBack(node, back, signal);
    signal.throwIfAborted();
  }

  /**
   * After a while, and again when that fails; when it is called off, at once, and only once more: who stops the service may
   * have ended the first.
   */
  async #giveBack(node: Node, on: readonly [string, ...string[]], signal: AbortSignal): Promise<void> {
    for (let left = MOST_TRIES - 1; ; left -= 1) {
      await sleep(this.#ports.offMs ?? OFF_MS, undefined, { signal }).catch(() => {});
      try {
        await this.#run(node, 'on', on, undefined);
        break;
      } catch (error) {
        if (left === 0) throw error;
        if (signal.aborted) left = 1;
      }
    }
    this.#ports.onSwitched(node.serial, 'given');
  }

  #templateOf(node: Node): Config['power'][string] {
    if (node.power === undefined) {
      throw new Refusal(
        `Nothing is known that switches the power of ${node.name}`,
        `Name a template of the configuration: netboot set-node ${node.name} --power NAME --outlet OUTLET`,
      );
    }
    const template = this.#ports.templates[node.power];
    if (template) return template;
    const known = Object.keys(this.#ports.templates).join(', ') || 'none';
    throw new Refusal(
      `The configuration has no power template "${node.power}", by which ${node.name} is switched`,
      `Add it below "power:" (there: ${known}) and restart the service.`,
    );
  }

  /** The words with what is the node's in the place of `{ip}` and its like: each stays one word, whatever is in it. */
  #fill(node: Node, [program, ...words]: readonly string[]): [string, ...string[]] {
    const values: Record<string, Ipv4 | Mac | string | undefined> = {
      ip: this.#ports.addressOf(node),
      mac: node.mac,
      name: node.name,
      serial: node.serial,
      outlet: node.outlet,
    };
    const filled = words.map((word) => {
      const text = word.replace(/\{(\w+)\}/g, (_, name: string) => {
        const value = values[name];
        if (value !== undefined) return value;
        throw new Refusal(
          `The power template "${node.power}" names {${name}}, and ${node.name} has none that is known`,
          name === 'ip'
            ? 'It has one when it has booted.'
            : `Give it one: netboot set-node ${node.name} --${name} ${name.toUpperCase()}`,
        );
      });
      if (!text.startsWith('-') || word.startsWith('-')) return text;
      throw new Refusal(
        `The ${word} of ${node.name} would be an option of "${program}": "${text}"`,
        'Give it one that does not begin with "-".',
      );
    });
    return [program as string, ...filled];
  }

  /** @throws Refusal with the program's name and its last line: its words may hold a password. */
  async #run(
    node: Node,
    action: PowerAction,
    argv: readonly [string, ...string[]],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const timeoutMs = this.#templateOf(node).timeout * 1000;
    const { kind, how, lastLine } = await this.#ports.runSwitch(argv, { timeoutMs, signal });
    if (kind === 'stopped') signal?.throwIfAborted();
    if (kind !== 'done') {
      const said = lastLine === '' ? 'and said nothing' : `"${withoutWords(lastLine, argv)}"`;
      const problem = `The power of ${node.name} could not be switched (${action}) by "${argv[0]}": `;
      // Who ran may have cut the power, however it ended: snmpset fails, too, when its answer alone is lost.
      const Fault = action !== 'on' && kind === 'not there' ? Refusal : LeftOff;
      if (kind === 'not there')
        throw new Fault(`${problem}${how}`, 'Install it, or name another program in the configuration.');
      throw new Fault(
        `${problem}${kind === 'hung' ? `it was ended after ${timeoutMs / 1000} s` : how}, ${said}`,
        `Try it by hand; it is power.${node.power} of the configuration.`,
      );
    }
    this.#ports.log.info({ id: 'POWER', serial: node.serial, action }, `power of ${node.name}: ${action}`);
  }

  #complain({ serial, name }: Node, { message }: Refusal): void {
    this.#ports.log.warn({ id: 'POWER_FAILED', serial }, message);
    this.#ports.tell({ kind: 'node trouble', serial, name, text: message });
  }
}

/** Addresses, host names, OIDs and URLs: what a person has to read to know what is wrong. */
const IS_PLACE = /^(https?:.*|[\w-]+([.:/][\w-]+)+)$/;

/** What a program said, without the words that it was given: one of them may be a password, and some repeat them. */
function withoutWords(line: string, [, ...words]: readonly string[]): string {
  const secret = words.filter((word) => word.length >= 4 && !word.startsWith('-') && !IS_PLACE.test(word));
  const masked = secret.reduce((text, word) => text.replaceAll(word, '…'), line);
  return masked.replace(/:\/\/[^/@\s]*@/g, '://…@');
}
