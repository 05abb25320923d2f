import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseConfig } from '../../src/config.ts';
import { checkRecipe } from '../../src/imaging/recipe/check-recipe.ts';
import { createRenderer } from '../../src/imaging/recipe/render.ts';
import { type ParsedRecipe, settleVariables } from '../../src/imaging/recipe/settle.ts';
import { Refusal } from '../../src/model/command.ts';
import { formatMistake, readYaml } from '../../src/model/yaml-file.ts';
import { asciiFromBytes, WireError } from '../../src/net/bytes.ts';
import { parseIpv4 } from '../../src/net/ipv4.ts';
import { parseMac } from '../../src/net/mac.ts';
import { parseSerial, SerialError } from '../../src/net/serial.ts';
import { parseSubnet } from '../../src/net/subnet.ts';
import { decodeExportReply, joinFragments } from '../../src/nfs/mount-packet.ts';
import { parseExports } from '../../src/nfs/parse.ts';
import { hex } from '../dhcp/fixtures/discovers.ts';
import { REPOSITORY } from '../rack/appliance.ts';
import { check, refusing, type Target } from './target.ts';

const text = (written: string): Uint8Array => Buffer.from(written);
const XID = 0x01020304;

const CONFIG = `interfaces:
  eth0: { dhcp: full, pool: 192.168.172.100-192.168.172.199, router: 192.168.172.1, dns: [9.9.9.9], lease: 12h }
  eth1: { dhcp: proxy }
nodes: { unknown: serve, defaultImage: web }
nfs: { server: auto, exports: /exports }
paths: { state: /var/lib/netboot, images: /usr/share/netboot/images }
api: { socket: /run/netboot/api.sock, listen: 127.0.0.1:8067 }
tftp: { root: /srv/tftp, port: 69 }
`;

/** What the recipes of the repository do not use. */
const RECIPE = `base: {image: a.img, arch: arm64, sha256: ${'a'.repeat(64)}}
variables: {port: {type: integer, default: 1}, on: {type: boolean, default: true}, name: {type: string, default: x}}
set: {zap: 1}
packages: {add: ["nginx [!amd64]", 'x-{{ name }}'], local: [debs/*.deb]}
files: [{path: /a, mode: '0640', content: "{% if on %}{{ port | plus: 1 }}{% endif %}"}]
users: [{name: a, uid: 5, keys: [ssh-ed25519 AAAA]}]
`;
const RENDER = createRenderer();

/** An answer of rpc.mountd: two exports, one of them for two clients. */
const EXPORTS_REPLY = hex(
  `01020304 00000001 00000000 00000000 00000000 00000000
   00000001 0000000a 2f6578706f7274732f61 0000 00000001 00000009 31302e302e302e31 2a000000
   00000001 00000001 2a000000 00000000 00000001 00000002 2f62 0000 00000000 00000000`,
);
const record = (bytes: Uint8Array): Uint8Array =>
  Uint8Array.of(0x80, 0, bytes.length >> 8, bytes.length & 0xff, ...bytes);

export const TEXT_TARGETS: readonly Target[] = [
  {
    name: 'config',
    seeds: [text(CONFIG), text('interfaces: { eth0: }\n'), text('a: &a [*a]\n? !!set {b}\n: |\n  c\n')],
    read(input) {
      refused(() => parseConfig(asciiFromBytes(input), 'netboot.yaml'));
    },
  },
  {
    name: 'recipe',
    seeds: [
      readFileSync(join(REPOSITORY, 'images/web/image.yaml')),
      text(RECIPE),
      text('sysctl: &a {x: *a}\n'),
    ],
    read(input) {
      const yaml = readYaml(asciiFromBytes(input), 'image.yaml');
      if ('problem' in yaml) return;
      const recipes: ParsedRecipe[] = [{ name: 'web', yaml }];
      const { contexts, mistakes } = settleVariables(recipes, { port: '80' }, 'arm64');
      const checked = checkRecipe(yaml, contexts[0] ?? {}, RENDER);
      for (const mistake of [...mistakes, ...checked.mistakes])
        check(formatMistake(mistake) !== '', 'says something');
    },
  },
  {
    name: 'nfs-mount-reply',
    seeds: [
      record(EXPORTS_REPLY),
      Uint8Array.of(0, 0, 0, 8, ...EXPORTS_REPLY.subarray(0, 8), ...record(EXPORTS_REPLY.subarray(8))),
    ],
    read(input) {
      const whole = refusing([WireError], () => joinFragments(input));
      if (!whole) return;
      const exports = refusing([WireError], () => decodeExportReply(whole, XID)) ?? [];
      check(exports.length * 8 <= whole.length, `${exports.length} exports in ${whole.length} bytes`);
    },
  },
  {
    name: 'nfs-exports',
    seeds: [
      text(
        '/srv/a -ro,sync 10.0.0.0/8(rw) "b c"(ro) # d\n"/srv/x y"\\\n  *(rw,no_root_squash)\n/a\\040b (ro)\n',
      ),
    ],
    read(input) {
      for (const { path } of parseExports(asciiFromBytes(input))) check(path.startsWith('/'), path);
    },
  },
  {
    name: 'names',
    seeds: ['Serial\t\t: 100000009ffefdef', '0x9FFEFDEF', 'dc:a6:32:01:36:c2', '192.168.172.1/24'].map(text),
    read(input) {
      const written = asciiFromBytes(input);
      const serial = refusing([SerialError], () => parseSerial(written));
      if (serial !== undefined) check(/^[0-9a-f]{8}$/.test(serial), serial);
      const mac = parseMac(written);
      if (mac !== undefined) check(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac), mac);
      const ipv4 = parseIpv4(written);
      if (ipv4 !== undefined) check(ipv4 === written, ipv4);
      parseSubnet(written);
    },
  },
];

/** A mistake in a file is told in so many words, for a person. */
function refused(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    check(error.message.length < 64 * 1024, `a message of ${error.message.length} characters`);
    check(/\S/.test(error.remedy), 'no remedy');
  }
}
