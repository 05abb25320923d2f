import { setTimeout as sleep } from 'node:timers/promises';
import { oneAtATime } from '../model/one-at-a-time.ts';
import { livePi } from './life.ts';
import { type OutletWord, openOutlet } from './outlet.ts';
import { pullCable } from './rack.ts';
import type { Simulation } from './simulate.ts';

/** While a `cycle` leaves it off. */
const OFF_MS = 1_000;

/**
 * A virtual Pi in an outlet that others switch; at first it is on. It goes on when its system has powered off or its
 * firmware has given up, since only its power brings it back then.
 * @returns when it was unplugged. @throws as simulatePi does.
 */
export async function runPluggedPi(simulation: Simulation): Promise<void> {
  const { rack, serial, signal } = simulation;
  const unplugged = new AbortController();
  const pi = new PluggedPi(simulation, () => unplugged.abort());
  const inTurn = oneAtATime();
  await using _outlet = await openOutlet(rack, serial, (word) =>
    inTurn(async () => {
      if (word !== 'unplug') return pi.obey(word);
      await pi.off();
      unplugged.abort();
    }),
  );
  pi.on();
  const over = AbortSignal.any([signal, unplugged.signal]);
  if (!over.aborted) await new Promise((resolve) => over.addEventListener('abort', resolve));
  await inTurn(() => pi.off());
  if (pi.failure !== undefined) throw pi.failure;
}

class PluggedPi {
  /** Why it could not go on, when that was not its power. */
  failure: unknown;
  readonly #simulation: Simulation;
  readonly #onFailure: () => void;
  #session: { readonly power: AbortController; readonly ended: Promise<void> } | undefined;

  constructor(simulation: Simulation, onFailure: () => void) {
    this.#simulation = simulation;
    this.#onFailure = onFailure;
  }

  async obey(word: Exclude<OutletWord, 'unplug'>): Promise<void> {
    if (word !== 'on') await this.off();
    if (word === 'cycle') await sleep(OFF_MS);
    if (word !== 'off') this.on();
  }

  /** What has power already does not notice. */
  on(): void {
    if (this.#session) return;
    this.#print('── power on');
    const power = new AbortController();
    const ended = livePi({ ...this.#simulation, signal: power.signal }).then(
      () => {},
      (error: unknown) => {
        if (power.signal.aborted) return;
        this.failure = error;
        this.#onFailure();
      },
    );
    this.#session = { power, ended };
  }

  /** First its cable is dead: nothing that runs can say farewell. */
  async off(): Promise<void> {
    const session = this.#session;
    if (!session) return;
    const { run, rack, serial } = this.#simulation;
    await pullCable(run, rack, serial);
    session.power.abort();
    await session.ended;
    this.#session = undefined;
    this.#print('── power off');
  }

  #print(text: string): void {
    const { model, serial, print } = this.#simulation;
    print(`${model} ${serial}  ${text}`);
  }
}
