import { setTimeout as sleep } from 'node:timers/promises';
import { type SimResult, type Simulation, simulatePi } from './simulate.ts';

/** A Pi 4 or 5 whose network boot failed tries the other modes of its boot order, then begins anew (0xf21). */
const BOOT_ORDER_MS = 3_000;

/**
 * A virtual Pi for as long as it has power: a system that resets itself is followed by the firmware, and a firmware that
 * got nowhere begins anew where a real one does.
 * @returns what it came to where nothing but its power's being cut would change that.
 * @throws as simulatePi does.
 */
export async function livePi(simulation: Simulation): Promise<SimResult> {
  const { signal, timeScale = 1 } = simulation;
  for (;;) {
    const result = await simulatePi(simulation);
    if (result.kind === 'reset') continue;
    // A Pi 3 whose ROM or bootcode.bin gave up stays dead until its power is cycled.
    if (result.kind !== 'failed' || result.stage !== 'firmware' || simulation.model === 'pi3') return result;
    await sleep(BOOT_ORDER_MS * timeScale, undefined, { signal });
  }
}
