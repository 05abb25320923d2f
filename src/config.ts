import { isAbsolute, join } from 'node:path';
import { z } from 'zod';
import { DEFAULT_SOCKET } from './model/api-socket.ts';
import { exportPathSchema } from './model/export-path.ts';
import type { AddressRange } from './model/network.ts';
import { ipv4Schema, nameSchema } from './model/node.ts';
import { parseYaml } from './model/yaml-file.ts';
import { ipv4ToNumber, parseIpv4 } from './net/ipv4.ts';
import { parseSubnet, type Subnet } from './net/subnet.ts';

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

const subnetSchema = z.string().transform((text, context): Subnet => {
  const subnet = parseSubnet(text);
  if (subnet && subnet.prefix >= 8 && subnet.prefix <= 30) return subnet;
  context.addIssue({ code: 'custom', message: `"${text}" is not a subnet; write it as 10.1.2.0/24` });
  return z.NEVER;
});

/** An empty section, all its keys commented out, is the section with its defaults. */
const section = <Schema extends z.ZodType>(schema: Schema) => z.preprocess((value) => value ?? {}, schema);

/** A network behind relay agents. */
const relayedSchema = z.strictObject({
  subnet: subnetSchema,
  pool: poolSchema.optional(),
  router: ipv4Schema.optional(),
  dns: z.array(ipv4Schema).optional(),
  lease: leaseSchema.optional(),
});

/** New boards have new prefixes, and no list that is shipped knows them. */
const ouisSchema = z.record(z.string(), z.enum(['pi3', 'pi4', 'pi5'])).transform((ouis, context) => {
  for (const prefix of Object.keys(ouis)) {
    if (/^([0-9a-f]{2}:){2}[0-9a-f]{2}$/.test(prefix)) continue;
    const message = `"${prefix}" is no first half of a MAC address; write it as "88:a2:9e"`;
    context.addIssue({ code: 'custom', path: [prefix], message });
  }
  return new Map(Object.entries(ouis));
});

const romDelaySchema = z
  .string()
  .regex(/^[0-3](\.\d)?s$/, 'write the seconds to wait, from 0s to 3.9s: 1.5s')
  .transform((text) => Number.parseFloat(text) * 1000);

const interfaceSchema = z
  .strictObject({
    dhcp: z.enum(['proxy', 'full', 'off']).default('proxy'),
    pool: poolSchema.optional(),
    router: ipv4Schema.optional(),
    dns: z.array(ipv4Schema).default([]),
    lease: leaseSchema.default(12 * 3600),
    relayed: z.array(relayedSchema).optional(),
    romDelay: romDelaySchema.optional(),
  })
  .superRefine((value, context) => {
    if (value.dhcp === 'full' && !value.pool) {
      const message = '"dhcp: full" needs the addresses it may give away: add "pool: FIRST-LAST"';
      context.addIssue({ code: 'custom', path: ['dhcp'], message });
    }
    for (const [index, { pool, router }] of value.relayed?.entries() ?? []) {
      if (value.dhcp !== 'full' || (pool && router)) continue;
      const message = '"dhcp: full" needs "pool: FIRST-LAST" and "router: ADDRESS" of each relayed subnet';
      context.addIssue({ code: 'custom', path: ['relayed', index], message });
    }
  });

/** A program and its arguments, never a shell. `{ip}`, `{mac}`, `{name}`, `{serial}` and `{outlet}` are the node's. */
const argvSchema = z
  .array(z.string().min(1))
  .min(1, 'name a program and its arguments: [snmpset, "-v2c", "{outlet}"]')
  .refine(
    (argv) =>
      argv.every((word) =>
        [...word.matchAll(/\{(\w+)\}/g)].every(([, name]) => POWER_WORDS.has(name as string)),
      ),
    'of a node there are {ip}, {mac}, {name}, {serial} and {outlet}',
  );
const POWER_WORDS: ReadonlySet<string> = new Set(['ip', 'mac', 'name', 'serial', 'outlet']);

const powerSchema = z
  .strictObject({
    on: argvSchema.optional(),
    off: argvSchema.optional(),
    cycle: argvSchema.optional(),
    /** Seconds that one of them may take. */
    timeout: z.int().min(1).max(300).default(20),
  })
  .refine(({ on, off, cycle }) => cycle !== undefined || (on !== undefined && off !== undefined), {
    message: 'give "cycle", or both "on" and "off"',
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
        ouis: ouisSchema.optional(),
        /** Boots of a generation without coming up, after which a node gets the one that it came up with last. */
        attempts: z.int().min(1).max(100).default(3),
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
        cache: absolutePath.default('/var/cache/netboot'),
      })
      .transform((paths) => ({
        ...paths,
        generations: paths.generations ?? join(paths.state, 'generations'),
      })),
  ).prefault({}),
  build: section(
    z.strictObject({
      /** GiB that build layers and downloads may take. */
      cacheLimit: z.number().positive().default(12),
      /** Generations kept per image beside those that nodes run or are published. */
      keep: z.int().min(1).default(3),
    }),
  ).prefault({}),
  api: section(
    z.strictObject({ socket: absolutePath.default(DEFAULT_SOCKET), listen: listenSchema }),
  ).prefault({}),
  http: section(
    z.strictObject({
      port: z
        .custom<number | 'off'>(
          (port) => port === 'off' || z.int().min(1).max(65_535).safeParse(port).success,
          'write a port from 1 to 65535, or "off"',
        )
        .default(80),
    }),
  ).prefault({}),
  reports: section(
    z.strictObject({
      /** TCP, where nodes fetch their identity, report, and wait for orders. */
      port: z.int().min(1).max(65_535).default(8064),
    }),
  ).prefault({}),
  /** How the power of nodes is switched: name → commands. */
  power: section(z.record(nameSchema, powerSchema)).prefault({}),
  tftp: section(
    z.strictObject({
      root: absolutePath.optional(),
      port: z.int().min(1).max(65_535).default(69),
      workers: z.int().min(1).max(16).default(1),
    }),
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
