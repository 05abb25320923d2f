import type { Command } from 'commander';
import type { ProfileAnswer, ProfileStatus, ProfilesAnswer } from '../api/schemas.ts';
import { callApi } from './client.ts';
import { formatFiles, formatSetting } from './node-format.ts';
import { bodyOf, type SettingOptions, takingAway, withSettingOptions } from './node-options.ts';
import { formatTable } from './table.ts';

interface JsonOption {
  json?: boolean;
}

export function addProfileCommands(program: Command): void {
  const call = <Answer>(method: string, path: string, body?: unknown): Promise<Answer> =>
    callApi<Answer>(program, method, path, body);

  withSettingOptions(program.command('set-profile <profile>'))
    .description(
      'change what all nodes of a profile have that do not say otherwise, or make one; an empty value ("--role=") takes it away',
    )
    .option('--json', 'for scripts')
    .addHelpText(
      'after',
      `
A node has it by "netboot set-node NODE --profile PROFILE". What is set of the node itself goes before what its profile
says, and that before the default; "netboot show-node NODE" tells who says each value.`,
    )
    .action(async (name: string, { json, ...options }: SettingOptions & JsonOption) => {
      const body = takingAway(await bodyOf(options));
      const answer = await call<ProfileAnswer>('PATCH', profilePath(name), body);
      if (json) return console.log(JSON.stringify(answer, null, 2));
      const { nodes } = answer.profile;
      const effect = nodes.length > 0 ? `; it takes effect when they boot` : '';
      console.log(
        `${answer.isNew ? 'made' : 'changed'} profile ${name} of ${countNodes(nodes.length)}${effect}`,
      );
    });

  program
    .command('profiles')
    .description('list the profiles: groups of nodes with settings in common')
    .option('--json', 'for scripts')
    .action(async ({ json }: JsonOption) => {
      const answer = await call<ProfilesAnswer>('GET', '/v1/profiles');
      console.log(json ? JSON.stringify(answer, null, 2) : formatProfiles(answer));
    });

  program
    .command('show-profile <profile>')
    .description('what a profile says, and which nodes have it')
    .option('--json', 'for scripts')
    .action(async (name: string, { json }: JsonOption) => {
      const { profile } = await call<ProfileAnswer>('GET', profilePath(name));
      console.log(json ? JSON.stringify(profile, null, 2) : formatProfile(profile));
    });

  program
    .command('remove-profile <profile>')
    .description('do away with a profile that no node has')
    .option('--json', 'for scripts')
    .action(async (name: string, { json }: JsonOption) => {
      const answer = await call<ProfileAnswer>('DELETE', profilePath(name));
      console.log(json ? JSON.stringify(answer, null, 2) : `removed profile ${answer.profile.name}`);
    });
}

const profilePath = (name: string): string => `/v1/profiles/${encodeURIComponent(name)}`;

const countNodes = (count: number): string => (count === 1 ? '1 node' : `${count} nodes`);

function formatProfiles({ profiles }: ProfilesAnswer): string {
  const rows = profiles.map(({ name, settings, files, nodes }) => [
    name,
    nodes.length,
    files.length,
    Object.entries(settings)
      .map(([key, value]) => `${key}=${formatSetting(value)}`)
      .join(' ') || undefined,
  ]);
  return formatTable(['PROFILE', 'NODES', 'FILES', 'SETTINGS'], rows);
}

function formatProfile({ name, settings, files, nodes }: ProfileStatus): string {
  const entries = [
    ['name', name],
    ...Object.entries(settings).map(([key, value]) => [key, formatSetting(value)]),
    ['nodes', nodes.join(', ') || '-'],
  ];
  const lines = entries.map(([key = '', value]) => `${key.padEnd(11)} ${value}`);
  return [...lines, ...formatFiles(files)].join('\n');
}
