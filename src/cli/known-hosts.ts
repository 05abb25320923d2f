import type { Command } from 'commander';
import type { KnownHost } from '../api/schemas.ts';
import { callApi } from './client.ts';

export function addKnownHostsCommand(program: Command): void {
  program
    .command('known-hosts')
    .description('the SSH host keys of all nodes, as lines for ~/.ssh/known_hosts')
    .option('--json', 'for scripts')
    .action(async ({ json }: { json?: boolean }) => {
      const hosts = await callApi<KnownHost[]>(program, 'GET', '/v1/known-hosts');
      if (json) console.log(JSON.stringify(hosts, null, 2));
      else for (const host of hosts) console.log(formatKnownHost(host));
    });
}

/** sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT": names, then type and key; a comment is left out. */
export function formatKnownHost({ name, address, key }: KnownHost): string {
  const names = address === undefined ? name : `${name},${address}`;
  return [names, ...key.split(' ').slice(0, 2)].join(' ');
}
