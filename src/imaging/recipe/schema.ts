import { z } from 'zod';
import { generationSchema } from '../../model/generation.ts';
import { LOADERS } from '../../model/loader.ts';
import { NO_ROLE } from '../../model/node.ts';
import { rootSettingsSchema } from '../../model/root-mode.ts';
import { bytesOfSize, DISK_SIZES, isDiskSize, sizeSchema } from '../../model/size.ts';
import { parsePackageLine } from './package-line.ts';
import { baseSchema } from './schema-base.ts';
import { unitsSchema } from './schema-units.ts';
import { usersSchema } from './schema-users.ts';
import { variablesSchema, variableValueSchema } from './variables.ts';

const packageLineSchema = z.string().transform((text, context) => {
  const line = parsePackageLine(text);
  if (typeof line !== 'string') return line;
  context.addIssue({ code: 'custom', message: line });
  return z.NEVER;
});

const debLineSchema = z.string().transform((text, context) => {
  const line = parsePackageLine(text, (path) => path.endsWith('.deb'));
  if (typeof line !== 'string') return line;
  const message = text.includes('.deb [') ? line : `"${text}" is no .deb file; write debs/name_1.0_arm64.deb`;
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
});

/** Not of a generation's: one that was sealed earlier is read whatever it says. */
const diskSchema = sizeSchema.pipe(
  z.string().refine((size) => isDiskSize(bytesOfSize(size)), `give a disk ${DISK_SIZES}`),
);

const packageLines = z.array(packageLineSchema).default([]);

const packagesSchema = z
  .union([
    z.array(packageLineSchema).transform((add) => ({ add, remove: [], local: [], upgrade: false })),
    z.strictObject({
      add: packageLines.describe('Debian packages to install; "htop [arm64]" for one architecture alone'),
      remove: packageLines.describe('Packages of the image below that go'),
      local: z
        .array(debLineSchema)
        .default([])
        .describe('.deb files beside the recipe; debs/*.deb for all of a folder'),
      upgrade: z.boolean().default(false).describe('Bring everything installed up to date first'),
    }),
  ])
  .default({ add: [], remove: [], local: [], upgrade: false })
  .describe('Debian packages: a list of names, or a map of add, remove, local, upgrade');

/** An absolute path without detours; the schema's words are for a key of any kind. */
export const imagePathSchema = z
  .string()
  .refine((path) => !/[\p{Cc}]/u.test(path), 'a path has no control characters')
  .refine((path) => path.startsWith('/'), 'write a path from the root of the image, as /etc/motd')
  .refine((path) => !/(^|\/)\.\.?(\/|$)|\/\/|^\/$/.test(path), 'write the path without ".", ".." and "//"');

const accountSchema = z
  .string()
  .regex(/^([a-z_][a-z0-9_-]{0,31}|\d{1,6})$/, 'write the name or number of a user or group, as "root"');

const fileSchema = z.strictObject({
  path: imagePathSchema.describe('Absolute path; with a slash at its end a folder, made where it is missing'),
  owner: accountSchema.default('root'),
  group: accountSchema.default('root'),
  mode: z
    .string({ error: "write the mode in quotes, as '0640': without them YAML takes it for another number" })
    .regex(/^[0-7]{3,4}$/, "write the mode as three or four octal digits in quotes, as '0640'")
    .transform((mode) => Number.parseInt(mode, 8))
    .optional()
    .describe(
      "Octal, in quotes: '0640'. Otherwise 0644, or 0755 for what is executable in rootfs/ and for folders",
    ),
  content: z.string().optional().describe('The whole file; otherwise rootfs/ or templates/ brings it'),
});

const line = (what: string) => z.string().regex(/^[^\n\0]+$/, `one ${what} a list item, and none empty`);

const tmpfilesLineSchema = line('line').regex(
  /^[a-zA-Z][-+!=~^$]*\s+("?[/%]|\S*\{)/,
  'write a line of tmpfiles.d(5): type and path first, as "D /var/log/nginx 0755 root adm"',
);

const fstabLineSchema = line('line').refine(
  (text) => /^\s*#/.test(text) || [4, 5, 6].includes(text.trim().split(/\s+/).length),
  'write a line of fstab(5): device, mount point, type, options, dump, pass',
);

const bootSchema = z.strictObject({
  config: z.array(line('line')).default([]).describe('Lines for config.txt, after those of the image below'),
  cmdline: z
    .array(z.string().regex(/^\S+$/, 'one word a list item: the kernel parts its command line at blanks'))
    .default([])
    .describe('Words for the kernel command line; root, address and name are put there for each node'),
  loaders: z
    .array(z.enum(LOADERS, { error: `the loaders are ${LOADERS.join(', ')}` }))
    .default([])
    .describe('Boot loaders to ship for machines that are no Pis'),
  initramfs: z
    .union([
      z.literal(false),
      z.strictObject({
        modules: z
          .array(z.string().regex(/^[\w-]+$/, 'write the name of a kernel module, as "nfsv4"'))
          .default([])
          .describe('Kernel modules to put in beside those that an NFS root needs'),
      }),
    ])
    .optional()
    .describe('false: none, where the kernel can mount its root by itself'),
});

/** `images/<name>/image.yaml`: what an image is made of, beside its `rootfs/`, `templates/`, `hooks/` and `debs/`. */
export const recipeSchema = z.strictObject({
  description: z.string().optional().describe('What the image is for, in a sentence'),
  base: baseSchema,
  mirror: z
    .url({ protocol: /^https?$/, error: 'write the http or https address of a Debian mirror' })
    .optional()
    .describe("Where Debian comes from; otherwise the mirror of the image below, or the host's own"),
  variables: variablesSchema,
  set: z
    .record(z.string(), variableValueSchema)
    .default({})
    .describe('Other values for variables that the images below declare'),
  packages: packagesSchema,
  files: z.array(fileSchema).default([]).describe('Owner, mode and, where it is short, content of files'),
  units: unitsSchema,
  tmpfiles: z
    .record(z.string().regex(/^[\w.@-]+$/), z.array(tmpfilesLineSchema))
    .default({})
    .describe('Name → lines of /etc/tmpfiles.d/<name>.conf'),
  fstab: z
    .array(fstabLineSchema)
    .default([])
    .describe('Lines for /etc/fstab, after those of the image below'),
  sysctl: z
    .record(
      z.string().regex(/^-?[a-z0-9_][\w./*-]*$/i),
      z
        .union([z.string().regex(/^[^\n]+$/), z.number()], { error: 'write a number or a text' })
        .transform(String),
    )
    .default({})
    .describe('Kernel settings: net.ipv4.ip_forward: 1'),
  users: usersSchema,
  hooks: z
    .record(
      z.string(),
      z.strictObject({
        network: z.boolean().default(false).describe('It needs the network; what it fetches is in no lock'),
      }),
    )
    .default({})
    .describe('Remarks on the scripts of hooks/, by file name'),
  roles: generationSchema.shape.roles
    .refine(
      (roles) => !Object.hasOwn(roles, NO_ROLE),
      `"${NO_ROLE}" says that a node has no role: name it otherwise`,
    )
    .default({})
    .describe('What a node of this image can be: role name → systemd target'),
  boot: bootSchema.prefault({}).describe('What the firmware and the kernel are told'),
  node: rootSettingsSchema
    .extend({ disk: diskSchema.optional() })
    .prefault({})
    .describe('How its nodes have their root, unless they say otherwise: readonly, overlay or private'),
});

/** As the file says it, each value checked. */
export type RecipeText = z.output<typeof recipeSchema>;
