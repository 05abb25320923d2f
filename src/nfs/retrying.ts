import type { Log } from '../model/log.ts';
import type { Exporter } from './applied.ts';
import type { Export } from './export.ts';

/** Doubled each time, up to a minute. */
const FIRST_RETRY_MS = 5000;
const LONGEST_RETRY_MS = 60_000;
/** By what an apply took: to mend a disk takes long, all exports wait meanwhile, and its node may have made it so. */
const REST_FACTOR = 20;
const LONGEST_REST_MS = 600_000;

/**
 * Applies the last list again while something of it is not served, or not all that it should be: room may have been made
 * meanwhile, or a file put back. An apply that throws is the caller's: the exports unit tries it again (exports-agent), a
 * service that exports by itself does so at the next change.
 */
export function retrying(exporter: Exporter, log: Log, firstRetryMs = FIRST_RETRY_MS): Exporter {
  let desired: readonly Export[] = [];
  let retries = 0;
  let retry: NodeJS.Timeout | undefined;
  let tookMs = 0;
  let isStopped = false;

  const applyLast = async () => {
    const startedAt = performance.now();
    await exporter.apply(desired).finally(() => {
      tookMs = performance.now() - startedAt;
    });
  };

  const tryLater = () => {
    clearTimeout(retry);
    const isWhole = exporter
      .state()
      .exports.every((each) => each.problem === undefined && !each.isIncomplete);
    if (isStopped || isWhole) return;
    const restMs = Math.min(REST_FACTOR * tookMs, LONGEST_REST_MS);
    const delay = Math.max(Math.min(firstRetryMs * 2 ** retries++, LONGEST_RETRY_MS), restMs);
    retry = setTimeout(() => void again(), delay).unref();
  };
  const again = async () => {
    try {
      await applyLast();
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
      await applyLast();
      tookMs = 0; // a server that starts and disks that are made take their time once
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
