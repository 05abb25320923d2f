import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { Config } from '../config.ts';
import { DEFAULT_SOCKET } from '../model/api-socket.ts';
import { Refusal } from '../model/command.ts';

const DEFAULT_CONFIG = '/etc/netboot/netboot.yaml';

/** The whole configuration, checked. @throws Refusal: missing, unreadable or wrong. */
export async function loadConfig(program: Command): Promise<Config> {
  const { parseConfig } = await import('../config.ts');
  const file = fileOf(program);
  return parseConfig(readText(file), file);
}

/**
 * Where the service listens. Only that: loading YAML and the checks of all the rest takes longer than everything else
 * a short command does, and most configurations do not name the socket.
 * @throws Refusal as {@link loadConfig}, when it is wanted and the file is wrong.
 */
export async function findSocket(program: Command): Promise<string> {
  if (!readText(fileOf(program)).includes('socket')) return DEFAULT_SOCKET;
  return (await loadConfig(program)).api.socket;
}

/** `--config`, else NETBOOT_CONFIG, else the default place. */
function fileOf(program: Command): string {
  return program.opts<{ config?: string }>().config ?? process.env.NETBOOT_CONFIG ?? DEFAULT_CONFIG;
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT')
      throw new Refusal(
        `There is no configuration file "${file}"`,
        'Write one with "netboot init", or name it with --config.',
      );
    throw new Refusal(
      `The configuration file "${file}" cannot be read: ${message}`,
      'Make it readable, or name another with --config.',
    );
  }
}
