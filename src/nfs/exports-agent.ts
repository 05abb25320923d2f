import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../model/log.ts';
import type { Exporter } from './applied.ts';
import { readIfThere, writeDurably } from './durable-file.ts';
import { type ExportsAnswer, exportsRequestSchema } from './exports-job.ts';

export interface ExportsAgentOptions {
  readonly exporter: Exporter;
  readonly requestFile: string;
  readonly answerFile: string;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** How often the request and the state of the server are looked at. */
const INTERVAL_MS = 250;

/** The root side of the exports job: applies the request file whenever it changes, and writes down what came of it. */
export async function runExportsAgent(options: ExportsAgentOptions): Promise<void> {
  const { exporter, log, signal } = options;
  let applied = '';
  let answered = '';
  let id = '';
  let failure: string | undefined;
  while (!signal.aborted) {
    const text = (await readIfThere(options.requestFile)) ?? '';
    if (text !== applied) {
      applied = text;
      failure = undefined;
      try {
        const request = exportsRequestSchema.parse(parseJson(text));
        id = request.id;
        await exporter.apply(request.exports);
      } catch (error) {
        failure = (error as Error).message;
        log.error({ id: 'EXPORTS_JOB_FAILED', request: id }, failure);
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
