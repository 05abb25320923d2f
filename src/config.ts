import { isAbsolute, join } from 'node:path';
import { z } from 'zod';
import { DEFAULT_SOCKET } from './model/api-socket.ts';
import { exportPathSchema } from './model/export-path.ts';
import type { AddressRange } from './model/network.ts';
import { ipv4Schema, nameSchema } from './model/node.ts';
import { parseYaml } from './model/yaml-file.ts';
import { ipv4ToNumber, parseIpv4 } from './net/ipv4.ts';

const SECONDS_PER = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

const leaseSchema = z
  .string({ error: 'write a duration as 90s, 30m, 12h or 7d' })
  .regex(/^[1-9]\d{0,5}[smhd]$/, 'write a duration as 90s, 30m, 12h or 7d')
  .transform((text) => Number.parseInt(text, 10) * SECONDS_PER[text.at(-1) as keyof typeof SECONDS_PER])
  .refine((seconds) => seconds >= 120, 'a lease shorter than 2m ends before a Pi has booted');

const poolSchema = z.string().transform((text, context): AddressRange => {
  const [first, last, ...rest] = text.split('-').map((part) => parseIpv4(part.trim()));
  if (!first || !last || rest.length > 0) {
    const message = `"${text}" is not a range; write it as 192.168.172.100-192.168.172.199`;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  }
  if (ipv4ToNumber(first) > ipv4ToNumber(last)) {
    context.addIssue({ code: 'custom', message: `the range ends before it begins: write ${last}-${first}` });
  }
  return { first, last };
});

/** An empty section, all its keys commented out, is the section with its defaults. */
const section = <Schema extends z.ZodType>(schema: Schema) => z.preprocess((value) => value ?? {}, schema);

const interfaceSchema = z
  .strictObject({
    dhcp: z.enum(['proxy', 'full', 'off']).default('proxy'),
    pool: poolSchema.optional(),
    router: ipv4Schema.optional(),
    dns: z.array(ipv4Schema).default([]),
    lease: leaseSchema.default(12 * 3600),
  })
  .superRefine((value, context) => {
    if (value.dhcp === 'full' && !value.pool) {
      const message = '"dhcp: full" needs the addresses it may give away: add "pool: FIRST-LAST"';
      context.addIssue({ code: 'custom', path: ['dhcp'], message });
    }
  });

const absolutePath = z.string().refine(isAbsolute, 'must be an absolute path, beginning with /');

const listenSchema = z
  .string()
  .refine((text) => {
    const [host = '', port = ''] = text.split(':');
    return (
      text === 'off' || (parseIpv4(host)?.startsWith('127.') && /^[1-9]\d{0,4}$/.test(port) && +port < 65_536)
    );
  }, 'write "off" or a loopback address and port as 127.0.0.1:8067 (there is no TLS yet)')
  .default('off');

/** The configuration file, section by section; the defaults are those a machine with one network wants. */
export const configSchema = z.strictObject({
  interfaces: z
    .record(z.string().regex(/^[^\s/]{1,15}$/, 'is no interface name'), section(interfaceSchema), {
      error: 'name the interfaces to serve, for example "interfaces: { eth0: { dhcp: proxy } }"',
    })
    .refine((value) => Object.keys(value).length > 0, 'name at least one interface to serve'),
  nodes: section(
    z
      .strictObject({
        unknown: z.enum(['hold', 'serve', 'ignore']).default('hold'),
        defaultImage: nameSchema.optional(),
      })
      .refine((value) => value.unknown !== 'serve' || value.defaultImage !== undefined, {
        path: ['unknown'],
        message: '"unknown: serve" needs "defaultImage": the image that unknown Pis boot',
      }),
  ).prefault({}),
  nfs: section(
    z.strictObject({
      server: z.enum(['auto', 'kernel', 'ganesha', 'none']).default('auto'),
      exports: exportPathSchema.default('/exports'),
    }),
  ).prefault({}),
  paths: section(
    z
      .strictObject({
        state: exportPathSchema.default('/var/lib/netboot'),
        images: absolutePath.default('/usr/share/netboot/images'),
        generations: exportPathSchema.optional(),
      })
      .transform((paths) => ({
        ...paths,
        generations: paths.generations ?? join(paths.state, 'generations'),
      })),
  ).prefault({}),
  api: section(
    z.strictObject({ socket: absolutePath.default(DEFAULT_SOCKET), listen: listenSchema }),
  ).prefault({}),
  tftp: section(
    z.strictObject({ root: absolutePath.optional(), port: z.int().min(1).max(65_535).default(69) }),
  ).prefault({}),
});

export type Config = z.output<typeof configSchema>;

/**
 * Reads the text of a configuration file.
 * @param file its name, for the messages.
 * @throws Refusal with one line per mistake: `file:line: key: what is wrong and what would be right`.
 */
export function parseConfig(text: string, file: string): Config {
  return parseYaml(configSchema, text, file);
}
