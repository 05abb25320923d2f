import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { type Config, parseConfig } from '../config.ts';
import { Refusal } from '../model/command.ts';

const DEFAULT_CONFIG = '/etc/netboot/netboot.yaml';

/** Reads `--config`, else NETBOOT_CONFIG, else the default place. @throws Refusal: missing, unreadable or wrong. */
export function loadConfig(program: Command): Config {
  const file = program.opts<{ config?: string }>().config ?? process.env.NETBOOT_CONFIG ?? DEFAULT_CONFIG;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
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
  return parseConfig(text, file);
}
