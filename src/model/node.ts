import { z } from 'zod';
import { type Ipv4, parseIpv4 } from '../net/ipv4.ts';
import { type Mac, parseMac } from '../net/mac.ts';
import { parseSerial, type Serial, SerialError } from '../net/serial.ts';
import { rootSettingsSchema } from './root-mode.ts';
import { sizeSchema } from './size.ts';

/** A zod type from one of `net`'s parsers: the text in, the value type out, the parser's words as the issue. */
function parsed<T>(parse: (text: string) => T | undefined, expected: string) {
  return z.string().transform((text, context): T => {
    try {
      const value = parse(text);
      if (value !== undefined) return value;
      context.addIssue({ code: 'custom', message: `"${text}" is not ${expected}` });
    } catch (error) {
      if (!(error instanceof SerialError)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
    }
    return z.NEVER;
  });
}

export const serialSchema = parsed<Serial>(parseSerial, 'a serial number');
export const macSchema = parsed<Mac>(parseMac, 'a MAC address; write it as dc:a6:32:01:36:c2');
export const ipv4Schema = parsed<Ipv4>(parseIpv4, 'an IPv4 address; write it as 192.168.172.21');

/** A name of a node, an image or a role: a host name label (RFC 1123), as it is used as one. */
export const nameSchema = z
  .string()
  .regex(
    /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
    'a name has 1-63 lower-case letters, digits and inner hyphens',
  );

/** As long as an EEPROM keeps (TFTP_PREFIX_STR, eeprom-bootloader.adoc), in the form that a path has once it is normalised. */
export const tftpPrefixSchema = z
  .string()
  .max(32, 'the prefix is longer than the 32 characters an EEPROM keeps')
  .regex(
    /^([\w.-]+\/)+$/,
    'write the prefix as TFTP_PREFIX_STR has it, with the slash at its end: letters, digits, "_", ".", "-" and single slashes',
  )
  .refine((prefix) => !/(^|\/)\.\.?\//.test(prefix), 'the prefix may not hold "." or ".." as a folder');

/** What containers store in: a file system of its own, in a file on the appliance, mounted at `path` of the node. */
export const blockSchema = z.strictObject({
  size: sizeSchema,
  path: z
    .string()
    .regex(/^(\/[\w.@+:-]+)+$/, 'write an absolute path of letters, digits and . _ @ + : -')
    .refine((path) => !/\/\.\.?(\/|$)/.test(path), 'the path may not hold "." or ".."')
    .default('/var/lib/containers'),
});

/** As a role: it has none, whatever its profile says. No image may call one so. */
export const NO_ROLE = 'none';

/** What a profile may say for all its nodes, and a node for itself. */
export const nodeSettingsSchema = z.strictObject({
  image: nameSchema.optional(),
  /** One of the roles its image declares; without one it has the image's plain multi-user system. */
  role: nameSchema.optional(),
  /** It fetches its boot tree as one file, boot.img. */
  ramdisk: z.boolean().optional(),
  ...rootSettingsSchema.shape,
  block: blockSchema.optional(),
  /** How its power is switched: one of the `power` templates of the configuration. */
  power: nameSchema.optional(),
  /** `{outlet}` in that template: the port of a switch, the address of a plug. */
  outlet: z
    .string()
    .regex(/^[\w.:/@-]{1,200}$/, 'write letters, digits and . _ : / @ -')
    .optional(),
});
export type NodeSettings = z.output<typeof nodeSettingsSchema>;

/** A node as it was added: its own values, and no others. */
export const ownNodeSchema = z.strictObject({
  serial: serialSchema,
  /** Its host name. */
  name: nameSchema,
  /** Set by a person, or learnt from the first boot: then it says which node the later, serial-less stages are. */
  mac: macSchema.optional(),
  /** A reserved address: ours (`full`; without it the node has one of the pool) or, behind a relay, the DHCP server's there. */
  ip: ipv4Schema.optional(),
  /** What its EEPROM puts before the names it asks for by TFTP in place of its serial number (TFTP_PREFIX_STR). */
  tftpPrefix: tftpPrefixSchema.optional(),
  /** The group of nodes whose settings are its own where it has none. */
  profile: nameSchema.optional(),
  ...nodeSettingsSchema.shape,
});
export type OwnNode = z.output<typeof ownNodeSchema>;

/** A node with all that its profile and the defaults give it: what decisions read. */
export const nodeSchema = ownNodeSchema.extend({ image: nameSchema });

/** A Pi that was added: it is served. */
export type Node = z.output<typeof nodeSchema>;
