import type { Log } from '../model/log.ts';
import type { Exporter } from './applied.ts';
import type { Export } from './export.ts';

/** Doubled each time, up to a minute. */
const FIRST_RETRY_MS = 5000;
const LONGEST_RETRY_MS = 60_000;

/**
 * Applies the last list again while something of it is not served, or not all that it should be: room may have been made meanwhile, or a file put back.
 * An apply that throws is tried again by its caller.
 */
export function retrying(exporter: Exporter, log: Log, firstRetryMs = FIRST_RETRY_MS): Exporter {
  let desired: readonly Export[] = [];
  let retries = 0;
  let retry: NodeJS.Timeout | undefined;
  let isStopped = false;

  const tryLater = () => {
    clearTimeout(retry);
    const isWhole = exporter
      .state()
      .exports.every((each) => each.problem === undefined && !each.isIncomplete);
    if (isStopped || isWhole) return;
    const delay = Math.min(firstRetryMs * 2 ** retries++, LONGEST_RETRY_MS);
    retry = setTimeout(() => void again(), delay).unref();
  };
  const again = async () => {
    try {
      await exporter.apply(desired);
    } catch (error) {
      log.error({ id: 'EXPORTS_NOT_APPLIED', err: error }, 'the exports could not be applied');
    }
    tryLater();
  };

  return {
    kind: exporter.kind,
    async apply(wanted) {
      desired = wanted;
      retries = 0;
      await exporter.apply(wanted);
      tryLater();
    },
    state: () => exporter.state(),
    stop() {
      isStopped = true;
      clearTimeout(retry);
      return exporter.stop();
    },
  };
}
