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

  const readAnswer = async (id: string): Promise<boolean> => {
    const text = await readIfThere(answerFile);
    const parsed = text === undefined ? undefined : exportsAnswerSchema.safeParse(JSON.parse(text)).data;
    // The file is gone while the other side is stopped.
    answer = parsed?.id === id ? parsed : undefined;
    return answer !== undefined;
  };
  let id = '';
  const following = setInterval(() => void readAnswer(id).catch(() => {}), 2000).unref();

  const ask = async (exports: readonly Export[]) => {
    desired = exports;
    answer = undefined;
    id = randomUUID();
    await writeDurably(requestFile(stateFolder), JSON.stringify({ id, exports }));
    const disks = exports.filter(({ area }) => area !== undefined).length;
    const until = Date.now() + patienceMs + disks * PATIENCE_PER_DISK_MS;
    for (; Date.now() < until; await sleep(50)) {
      if (await readAnswer(id)) return;
    }
    log.error({ id: 'NFS_NO_ANSWER' }, NO_ANSWER);
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
