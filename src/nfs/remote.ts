import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../model/log.ts';
import { oneAtATime } from '../model/one-at-a-time.ts';
import type { Exporter, ExportState } from './applied.ts';
import { readIfThere, writeDurably } from './durable-file.ts';
import type { Export } from './export.ts';
import { ANSWER_FILE, type ExportsAnswer, exportsAnswerSchema, requestFile } from './exports-job.ts';

export interface RemoteOptions {
  readonly stateFolder: string;
  readonly log: Log;
  readonly answerFile?: string;
  /** How long `apply` waits for the other side. */
  readonly patienceMs?: number;
}

/** Disks that are made: two hundred take some ten seconds. */
const PATIENCE_PER_DISK_MS = 100;

/** How often it is looked whether the other side has come to another answer, or is gone. */
const FOLLOW_MS = 2000;

const NO_ANSWER = 'the exports unit does not answer: systemctl status netboot-exports';

/**
 * The service's side where it has no privileges: the exports are written down as a request, and netboot-exports.service
 * applies them. While that does not answer, every export has this as its problem; boot files are served all the same.
 */
export function openRemote({
  stateFolder,
  log,
  answerFile = ANSWER_FILE,
  patienceMs = 20_000,
}: RemoteOptions): Exporter {
  const inTurn = oneAtATime();
  let desired: readonly Export[] = [];
  let answer: ExportsAnswer | undefined;

  /** `undefined` when the file has no answer to this request; it is gone while the other side is stopped. */
  const readAnswer = async (id: string): Promise<ExportsAnswer | undefined> => {
    const text = await readIfThere(answerFile);
    const parsed = text === undefined ? undefined : exportsAnswerSchema.safeParse(JSON.parse(text)).data;
    return parsed?.id === id ? parsed : undefined;
  };
  let id = '';
  let isStopped = false;
  const follow = async () => {
    answer = await readAnswer(id);
  };
  const following = setInterval(() => void inTurn(follow).catch(() => {}), FOLLOW_MS).unref();

  const ask = async (exports: readonly Export[]) => {
    desired = exports;
    id = randomUUID();
    await writeDurably(requestFile(stateFolder), JSON.stringify({ id, exports }));
    const disks = exports.filter(({ area }) => area !== undefined).length;
    const until = Date.now() + patienceMs + disks * PATIENCE_PER_DISK_MS;
    for (; Date.now() < until && !isStopped; await sleep(50)) {
      const read = await readAnswer(id);
      // Until then the last one stands: who asked before this has yet to look at what came of it.
      if (read) {
        answer = read;
        return;
      }
    }
    answer = undefined;
    if (!isStopped) log.error({ id: 'NFS_NO_ANSWER' }, NO_ANSWER);
  };

  return {
    kind: 'unit',
    apply: (exports) => inTurn(() => ask(exports)),
    state: () => ({
      exports:
        answer && !answer.failure
          ? answer.exports
          : desired.map((entry) => withProblem(entry, answer?.failure)),
    }),
    async stop() {
      isStopped = true;
      clearInterval(following);
    },
  };
}

const withProblem = ({ path, clients, options }: Export, failure = NO_ANSWER): ExportState => ({
  path,
  clients,
  options,
  problem: failure,
});
