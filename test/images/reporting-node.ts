import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Asked, REPORT_KEY, type Reply, ToldAppliance } from './appliance.ts';
import { NodeNamespace, type NodeSettings, TOLD_SYSTEMCTL } from './node-namespace.ts';

export const signed = (body: string): Reply => ({ body, key: REPORT_KEY });
export const OK = signed('run r1\n');

export interface Reporting {
  readonly node: NodeNamespace;
  readonly appliance: ToldAppliance;
  readonly program: ChildProcess;
  /** The count-th report, or later; waits for it. */
  readonly report: (count: number, within?: number) => Promise<Asked>;
  /** With its exit code and signal, once all that it said has been read. */
  readonly ended: Promise<[number | null, string | null]>;
  readonly said: () => string;
  readonly told: () => Promise<string[]>;
}

/** A node on which report.pl runs. */
export async function reporting(
  context: TestContext,
  answer: (asked: Asked, count: number) => Reply | Promise<Reply>,
  {
    state = 'starting',
    failed = '',
    ...settings
  }: { state?: string; failed?: string } & Partial<NodeSettings> = {},
): Promise<Reporting> {
  const appliance = await ToldAppliance.open(answer);
  context.after(() => appliance.close());
  const prelude = [
    TOLD_SYSTEMCTL,
    `mkdir /run/netboot; echo '${REPORT_KEY} r1' >/run/netboot/report-key`,
    `echo ${state} >/run/systemd-state; printf '%s' '${failed}' >/run/failed; echo web.target >/run/active`,
    settings.prelude ?? '',
  ].join('\n');
  const node = await NodeNamespace.make({ ...settings, prelude, port: appliance.port });
  context.after(() => node.remove());
  let said = '';
  const program = node.start('report.pl', (text) => {
    said += text;
  });
  const ended = once(program, 'close') as Reporting['ended'];
  context.after(() => program.kill('SIGKILL'));
  return {
    node,
    appliance,
    program,
    ended,
    said: () => said,
    told: async () =>
      (await node.shell('cat /run/told')).split('\n').filter((line) => /isolate|reboot/.test(line)),
    report: async (count, within = 8_000) => {
      for (const until = performance.now() + within; performance.now() < until; await sleep(20)) {
        const asked = appliance.asked[count - 1];
        if (asked) return asked;
      }
      throw new Error(`${appliance.asked.length} reports came, not ${count}; it said: ${said}`);
    },
  };
}
