import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../model/log.ts';
import type { Exporter } from './applied.ts';
import { readIfThere, writeDurably } from './durable-file.ts';
import { type ExportsAnswer, type ExportsRequest, exportsRequestSchema } from './exports-job.ts';

export interface ExportsAgentOptions {
  readonly exporter: Exporter;
  readonly requestFile: string;
  readonly answerFile: string;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** How long after a failure the same request is applied again; doubled each time, up to a minute. */
  readonly firstRetryMs?: number;
}

/** How often the request and the state of the server are looked at. */
const INTERVAL_MS = 250;
const LONGEST_RETRY_MS = 60_000;

/**
 * The root side of the exports job: applies the request file whenever it changes, and writes down what came of it. What
 * could not be applied is tried again, as the reason may be gone by then, or the server have recovered by itself.
 */
export async function runExportsAgent(options: ExportsAgentOptions): Promise<void> {
  const { exporter, log, signal, firstRetryMs = 5000 } = options;
  let read = '';
  let answered = '';
  let id = '';
  let wanted: ExportsRequest['exports'] | undefined;
  let failure: string | undefined;
  let failures = 0;
  let dueAt = 0;
  const failed = (error: unknown) => {
    failure = (error as Error).message;
    log.error({ id: 'EXPORTS_JOB_FAILED', request: id }, failure);
  };
  while (!signal.aborted) {
    const text = (await readIfThere(options.requestFile)) ?? '';
    if (text !== read) {
      read = text;
      failures = dueAt = 0;
      wanted = undefined;
      try {
        ({ id, exports: wanted } = exportsRequestSchema.parse(parseJson(text)));
      } catch (error) {
        failed(error);
      }
    }
    if (wanted && Date.now() >= dueAt) {
      try {
        await exporter.apply(wanted);
        failure = undefined;
        dueAt = Number.POSITIVE_INFINITY;
      } catch (error) {
        failed(error);
        dueAt = Date.now() + Math.min(firstRetryMs * 2 ** failures++, LONGEST_RETRY_MS);
      }
    }
    const answer: ExportsAnswer = {
      id,
      exports: exporter
        .state()
        .exports.map((each) => ({ ...each, clients: [...each.clients], options: [...each.options] })),
    };
    const answerText = JSON.stringify(failure === undefined ? answer : { ...answer, failure });
    if (answerText !== answered) await writeDurably(options.answerFile, answerText);
    answered = answerText;
    await sleep(INTERVAL_MS, undefined, { signal }).catch(() => {});
  }
}

/** Says nothing of the text: it may be of a file that only root may read, to which the asking side put a link. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('the request is not JSON');
  }
}
