import type { NodeFile } from '../model/node-file.ts';
import type { GivenOrder, NodeIdentity } from '../model/report.ts';

/** The answer to `POST /v1/identity`. */
export function renderIdentity({ reportKey, run, hostKey, files, block }: NodeIdentity): string {
  return linesOf([
    `report-key ${reportKey}`,
    `run ${run}`,
    `host-key ${btoa(hostKey.privateKey)}`,
    `host-key-public ${hostKey.publicKey}`,
    ...files.map(renderFile),
    ...(block === undefined ? [] : [`block ${block}`]),
  ]);
}

function renderFile({ mode, owner, group, path, content }: NodeFile): string {
  return `file ${mode} ${owner} ${group} ${path} ${content === '' ? '-' : content}`;
}

/** The answer to a report that was taken. */
export function renderTaken(run: string, given: GivenOrder | undefined): string {
  return linesOf([`run ${run}`, ...(given ? [renderOrder(given)] : [])]);
}

function renderOrder({ id, order }: GivenOrder): string {
  return order.kind === 'reboot' ? `order ${id} reboot` : `order ${id} isolate ${order.target}`;
}

/** The answer to a report that is to be sent again. */
export function renderAgain(run: string, seq: number): string {
  return linesOf([`run ${run}`, `seq ${seq}`]);
}

const linesOf = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');
