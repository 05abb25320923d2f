import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';

export interface CheckResult {
  readonly passed: boolean;
  /** What came of it, in words. */
  readonly text: string;
}

/** Asks a URL once. Never rejects. */
export type Ask = (url: string, signal: AbortSignal) => Promise<CheckResult>;

/** One answer; who needs longer is asked again. */
const ANSWER_MS = 5000;
const AGAIN_MS = 2000;
const MOST_BODY_BYTES = 64 * 1024;

/** 2xx and 3xx pass; where a redirect leads is not asked. */
export const askUrl: Ask = (url, signal) =>
  new Promise((resolve) => {
    const answered = AbortSignal.timeout(ANSWER_MS);
    const end = (passed: boolean, text: string) => resolve({ passed, text: `${url} ${text}` });
    const send = url.startsWith('https:') ? requestHttps : requestHttp;
    const call = send(
      url,
      {
        signal: AbortSignal.any([signal, answered]),
        agent: false,
        headers: { 'user-agent': 'netboot' },
        // Whether it answers is asked, not who it is; nodes have certificates that they signed themselves.
        rejectUnauthorized: false,
      },
      (response) => {
        const { statusCode = 0 } = response;
        let left = MOST_BODY_BYTES;
        const finish = () => {
          end(statusCode >= 200 && statusCode < 400, `answers ${statusCode}`);
          call.destroy();
        };
        response.on('data', (chunk: Buffer) => {
          left -= chunk.length;
          if (left <= 0) finish();
        });
        response.on('end', finish);
        response.on('error', (error) => end(false, wordsFor(error, answered)));
      },
    );
    call.on('error', (error) => end(false, wordsFor(error, answered)));
    call.end();
  });

const wordsFor = (error: Error, answered: AbortSignal): string =>
  answered.aborted
    ? `did not answer within ${ANSWER_MS / 1000} s`
    : `cannot be asked: ${(error as NodeJS.ErrnoException).code ?? error.message}`;

/** Asks until it passes or `signal` is aborted, and tells each result. */
export async function askUntilPassed(
  ask: () => Promise<CheckResult>,
  onResult: (result: CheckResult) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const result = await ask();
    if (signal.aborted) return;
    onResult(result);
    if (result.passed) return;
    await sleep(AGAIN_MS, undefined, { signal, ref: false }).catch(() => {});
  }
}
