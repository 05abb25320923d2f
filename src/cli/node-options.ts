import { type Command, InvalidArgumentError, Option } from 'commander';
import { Refusal } from '../model/command.ts';
import { blockSchema, NO_ROLE } from '../model/node.ts';
import { ROOT_DEFAULTS } from '../model/root-mode.ts';
import { DISK_SIZES } from '../model/size.ts';
import { fileOption } from './file-option.ts';
import { collect } from './settings.ts';

/** What a node and a profile can be set to. */
export interface SettingOptions {
  image?: string;
  role?: string;
  ramdisk?: string;
  root?: string;
  memory?: string;
  disk?: string;
  nfs?: string;
  block?: string;
  power?: string;
  outlet?: string;
  file?: readonly string[];
}

export interface NodeOptions extends SettingOptions {
  name?: string;
  mac?: string;
  ip?: string;
  tftpPrefix?: string;
  profile?: string;
}

export function withNodeOptions(command: Command): Command {
  command
    .option('--name <name>', 'its host name (default: pi-<serial>, or node-<serial> for a MAC)')
    .option('--mac <mac>', 'its Ethernet address (learnt at its first boot)')
    .option(
      '--ip <address>',
      'an address reserved for it: by us (dhcp: full) or, behind a relay, by the DHCP server there',
    )
    .option('--tftp-prefix <text>', "its EEPROM's TFTP_PREFIX_STR, if it has one")
    .option('--profile <profile>', 'the profile whose settings it has where it has none of its own');
  return withSettingOptions(command);
}

export function withSettingOptions(command: Command): Command {
  return command
    .option('--image <image>', 'the image it boots')
    .option('--role <role>', `one of the roles of that image; ${NO_ROLE}: not even what a profile says`)
    .addOption(choice('--ramdisk <on|off>', 'fetch the boot tree as one file, boot.img', ['on', 'off']))
    .addOption(
      choice(
        '--root <mode>',
        `what it may write: readonly (nothing but some folders in memory), overlay (all, in memory), private (all, on a disk of its own here) ${otherwise('root')}`,
        ['readonly', 'overlay', 'private'],
      ),
    )
    .option(
      '--memory <size>',
      `what an overlay may take of its memory: 256M, or a share ${otherwise('memory')}`,
    )
    .option(
      '--disk <size>',
      `the size of a private root, ${DISK_SIZES}; it takes what is written to it ${otherwise('disk')}`,
    )
    .addOption(
      choice('--nfs <version>', `version of NFS it mounts with: 3 or 4 ${otherwise('nfs')}`, ['3', '4']),
    )
    .option(
      '--block <size[:path]>',
      `a file system of its own, ${DISK_SIZES}, mounted at that path (default: none; path: /var/lib/containers)`,
    )
    .option('--power <template>', 'how its power is switched: a template below "power" in the configuration')
    .option('--outlet <outlet>', 'its {outlet} there: the port of a switch, the address of a plug')
    .option(
      '--file <path=localfile>',
      'a file for it that no image holds, brought over at each boot; with ",mode=0600", ",owner=USER", ",group=GROUP" behind it; "path=" takes it away; may be repeated',
      collect,
    );
}

const otherwise = (key: keyof typeof ROOT_DEFAULTS): string =>
  `(default: as its image says, else ${ROOT_DEFAULTS[key]})`;

/** One of these values, or an empty one. */
const choice = (flags: string, description: string, values: readonly string[]): Option =>
  new Option(flags, description).argParser((text) => {
    if (text === '' || values.includes(text)) return text;
    throw new InvalidArgumentError(`Write ${values.join(', ')}, or nothing to take it away.`);
  });

/** As the API wants it; an empty value stays one. @throws Refusal for what cannot be read or understood. */
export async function bodyOf(options: NodeOptions): Promise<Record<string, unknown>> {
  const { ramdisk, nfs, block, file = [], ...plain } = options;
  const files = Object.fromEntries(await Promise.all(file.map(fileOption)));
  if (Object.keys(files).length < file.length) {
    throw new Refusal('One file is given twice with --file', 'Name each path once.');
  }
  return {
    ...plain,
    ...(ramdisk === undefined ? {} : { ramdisk: ramdisk === '' ? '' : ramdisk === 'on' }),
    ...(nfs === undefined ? {} : { nfs: nfs === '' ? '' : Number(nfs) }),
    ...(block === undefined ? {} : { block: block === '' ? '' : parseBlock(block) }),
    ...(file.length === 0 ? {} : { files }),
  };
}

/** Of what is new: an empty value is as none. */
export const leavingOut = (body: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(body).filter(([, value]) => value !== ''));

/** Of a change: an empty value takes away what is there. */
export const takingAway = (body: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(body).map(([key, value]) => [key, value === '' ? null : value]));

function parseBlock(text: string): { size: string; path: string } {
  const [size, path] = text.split(/:(.*)/s);
  const parsed = blockSchema.safeParse({ size, ...(path === undefined ? {} : { path }) });
  if (parsed.data) return parsed.data;
  const [issue] = parsed.error?.issues ?? [];
  throw new Refusal(
    `"--block ${text}" is not understood: ${issue?.message}`,
    'Write it as --block 4G, or --block 4G:/var/lib/containers',
  );
}
