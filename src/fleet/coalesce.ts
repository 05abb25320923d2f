import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Has `work` done soon after each call, many calls by one run: those of `delayMs`, and those that come while it runs. A run
 * that fails is told to `onError`, and done again at the next call.
 */
export function coalesce(
  delayMs: number,
  work: () => Promise<void>,
  onError: (error: unknown) => void,
): () => void {
  let isAsked = false;
  let isRunning = false;
  const run = async () => {
    isRunning = true;
    while (isAsked) {
      await sleep(delayMs, undefined, { ref: false });
      isAsked = false;
      await work().catch(onError);
    }
    isRunning = false;
  };
  return () => {
    isAsked = true;
    if (!isRunning) void run();
  };
}
