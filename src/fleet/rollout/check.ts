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
export const askUrl: Ask = async (url, signal) => {
  const answered = AbortSignal.timeout(ANSWER_MS);
  try {
    const { passed, text } = await answerOf(url, AbortSignal.any([signal, answered]));
    return { passed, text: `${url} ${text}` };
  } catch (error) {
    const text = answered.aborted ? `did not answer within ${ANSWER_MS / 1000} s` : wordsFor(error);
    return { passed: false, text: `${url} ${text}` };
  }
};

/** Rejects also where no request can be made of the URL. */
const answerOf = (url: string, signal: AbortSignal): Promise<CheckResult> =>
  new Promise((resolve, reject) => {
    const send = url.startsWith('https:') ? requestHttps : requestHttp;
    const call = send(
      url,
      {
        signal,
        agent: false,
        headers: { 'user-agent': 'netboot' },
        // Whether it answers is asked, not who it is; nodes have certificates that they signed themselves.
        rejectUnauthorized: false,
      },
      (response) => {
        const { statusCode = 0 } = response;
        let left = MOST_BODY_BYTES;
        const finish = () => {
          resolve({ passed: statusCode >= 200 && statusCode < 400, text: `answers ${statusCode}` });
          call.destroy();
        };
        response.on('data', (chunk: Buffer) => {
          left -= chunk.length;
          if (left <= 0) finish();
        });
        response.on('end', finish);
        response.on('error', reject);
      },
    );
    call.on('error', reject);
    // After `101 Switching Protocols` Node ends the connection, and tells neither an answer nor an error.
    call.on('close', () => reject(new Error('the connection ended without an answer')));
    signal.addEventListener('abort', () => reject(signal.reason)); // whatever else Node tells or does not
    call.end();
  });

function wordsFor(error: unknown): string {
  const { code, message } =
    error instanceof Error ? (error as NodeJS.ErrnoException) : { message: String(error) };
  return `cannot be asked: ${code ?? message}`;
}

/** Asks until it passes or `signal` is aborted, and tells each result. Never rejects. */
export async function askUntilPassed(
  ask: () => Promise<CheckResult>,
  onResult: (result: CheckResult) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const result = await Promise.try(ask).catch((error: unknown) => ({
      passed: false,
      text: wordsFor(error),
    }));
    if (signal.aborted) return;
    onResult(result);
    if (result.passed) return;
    await sleep(AGAIN_MS, undefined, { signal, ref: false }).catch(() => {});
  }
}
