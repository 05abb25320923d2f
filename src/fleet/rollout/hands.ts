import type { Log } from '../../model/log.ts';
import type { Node } from '../../model/node.ts';
import type { Order } from '../../model/report.ts';
import type { Ipv4 } from '../../net/ipv4.ts';
import { Busy } from '../orders.ts';
import { LeftOff, type Power } from '../power.ts';
import type { Attempt } from './attempts.ts';
import { type Ask, askUntilPassed, type CheckResult } from './check.ts';
import { checkUrlOf } from './check-url.ts';

export interface HandsPorts {
  readonly send: (node: Node, order: Order, options: { readonly signal: AbortSignal }) => Promise<void>;
  readonly power: Pick<Power, 'switch'>;
  readonly addressOf: (node: Node) => Ipv4 | undefined;
  readonly ask: Ask;
  readonly log: Log;
}

/** What a rollout does to nodes. All of it goes on beside; what comes of it stands in the attempt. */
export class Hands {
  readonly #ports: HandsPorts;

  constructor(ports: HandsPorts) {
    this.#ports = ports;
  }

  order(node: Node, attempt: Attempt, onTaken: () => void): void {
    attempt.order = 'under way';
    this.#ports.send(node, { kind: 'reboot' }, { signal: attempt.over.signal }).then(
      () => {
        attempt.settle({ order: 'taken' });
        onTaken();
      },
      (error: unknown) => {
        if (error instanceof Busy) {
          delete attempt.order; // to be tried again
          return;
        }
        attempt.settle({ order: 'unanswered' });
        if (!attempt.over.signal.aborted) this.#note(node, 'it did not take the order to reboot', error);
      },
    );
  }

  cycle(node: Node, attempt: Attempt): void {
    attempt.cycle = 'under way';
    // Not with the attempt's signal: what has begun to cut the power is to give it back.
    this.#ports.power.switch(node, 'cycle').then(
      () => attempt.settle({ cycle: 'done' }),
      (error: unknown) => {
        attempt.settle({ cycle: error instanceof LeftOff ? 'left off' : 'failed', trouble: wordsOf(error) });
        this.#note(node, 'its power could not be cycled', error);
      },
    );
  }

  check(node: Node, attempt: Attempt, template: string): void {
    if (attempt.asking) return;
    attempt.asking = new AbortController();
    const signal = AbortSignal.any([attempt.over.signal, attempt.asking.signal]);
    const ask = (): Promise<CheckResult> => {
      const found = checkUrlOf(template, node, this.#ports.addressOf(node));
      if ('lacks' in found) return Promise.resolve({ passed: false, text: found.lacks });
      return this.#ports.ask(found.url, signal);
    };
    const onResult = (result: CheckResult) => {
      attempt.check = result;
    };
    void askUntilPassed(ask, onResult, signal);
  }

  #note({ serial, name }: Node, text: string, error: unknown): void {
    this.#ports.log.warn({ id: 'ROLLOUT_NODE', serial }, `${name}: ${text}: ${wordsOf(error)}`);
  }
}

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
