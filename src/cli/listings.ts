import type { Command } from 'commander';
import type { ExportStatus, LeaseStatus, StatusAnswer } from '../api/schemas.ts';
import { callApi } from './client.ts';
import { formatBytes, formatTable } from './table.ts';

export function addListCommands(program: Command): void {
  /** A command that shows one answer of the API: as a table, or whole with --json. */
  const listing = <Answer>(
    name: string,
    path: string,
    description: string,
    format: (answer: Answer) => string,
  ): void => {
    program
      .command(name)
      .description(description)
      .option('--json', 'for scripts')
      .action(async ({ json }: { json?: boolean }) => {
        const answer = await callApi<Answer>(program, 'GET', path);
        console.log(json ? JSON.stringify(answer, null, 2) : format(answer));
      });
  };
  listing(
    'exports',
    '/v1/exports',
    'list the NFS exports, and what of them is not served, or not as asked for',
    formatExports,
  );
  listing('leases', '/v1/leases', 'list the DHCP leases', formatLeases);
  listing(
    'status',
    '/v1/status',
    'how the service is: its interfaces, warnings, problems, and what it has answered so far',
    formatStatus,
  );
}

function formatExports(exports: readonly ExportStatus[]): string {
  const rows = exports.map(({ path, clients, options, problem, remark }) => [
    path,
    clients.join(' '),
    options.join(','),
    problem ?? remark ?? 'ok',
  ]);
  return formatTable(['PATH', 'CLIENTS', 'OPTIONS', 'STATE'], rows);
}

function formatLeases(leases: readonly LeaseStatus[]): string {
  const rows = leases.map((lease) => [
    lease.address,
    lease.mac,
    lease.state,
    lease.expires,
    lease.serial,
    lease.hostname,
  ]);
  return formatTable(['ADDRESS', 'MAC', 'STATE', 'EXPIRES', 'SERIAL', 'NAME'], rows);
}

function formatStatus(status: StatusAnswer): string {
  const counted = (counters: Readonly<Record<string, number>>): string =>
    Object.entries(counters)
      .filter(([, count]) => count > 0)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ') || 'nothing yet';
  return [
    `netboot ${status.version}, pid ${status.pid}, since ${status.startedAt}, ${formatBytes(status.memoryBytes)} of memory`,
    ...status.interfaces.map(
      (found) =>
        `interface ${found.interface}: ${found.address} in ${found.subnet}, dhcp ${found.dhcp}${found.isHeldBack ? ' (looking for other servers first)' : ''}`,
    ),
    ...status.warnings.map(({ text, since }) => `warning: ${text} (since ${since})`),
    ...(status.unwatched.length > 0 ? [`not watched: ${status.unwatched.join(', ')}`] : []),
    `nfs ${status.nfs.server}: ${status.nfs.exports} exports`,
    ...status.nfs.problems.map((problem) => `  problem: ${problem}`),
    `nodes: ${status.nodes}, waiting: ${status.waiting}, leases: ${status.leases}`,
    `dhcp: ${counted(status.counters.dhcp)}`,
    `tftp: ${counted(status.counters.tftp)}`,
    `tftp now: ${formatTftpLoad(status.tftp)}`,
    ...(status.counters.http ? [`http: ${counted(status.counters.http)}`] : []),
    ...(status.counters.reports ? [`reports: ${counted(status.counters.reports)}`] : []),
  ].join('\n');
}

function formatTftpLoad(tftp: StatusAnswer['tftp']): string {
  const rate = `${formatBytes(tftp.bytesPerSecond)}/s by ${tftp.workers} worker${tftp.workers === 1 ? '' : 's'}`;
  const waiting =
    tftp.waiting > 0 ? `${tftp.waiting} (${(tftp.longestWaitMs / 1000).toFixed(1)} s at most)` : 0;
  return `${rate}, large files running ${tftp.running}, waiting ${waiting}`;
}
