import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parseConfig } from '../../src/config.ts';
import { Refusal } from '../../src/model/command.ts';

const MINIMAL = 'interfaces:\n  eth0: {}\n';

describe('a configuration file', () => {
  it('needs no more than an interface; all else has its default', () => {
    assert.deepEqual(parseConfig(MINIMAL, 'f'), {
      interfaces: { eth0: { dhcp: 'proxy', dns: [], lease: 43_200 } },
      nodes: { unknown: 'hold', attempts: 3 },
      nfs: { server: 'auto', exports: '/exports' },
      paths: {
        state: '/var/lib/netboot',
        images: '/usr/share/netboot/images',
        generations: '/var/lib/netboot/generations',
        cache: '/var/cache/netboot',
      },
      build: { cacheLimit: 12, keep: 3 },
      api: { socket: '/run/netboot/api.sock', listen: 'off' },
      http: { port: 80 },
      reports: { port: 8064 },
      power: {},
      tftp: { port: 69, workers: 1 },
    });
  });

  it('may be as the README shows it, with every key', () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const [, yaml = ''] =
      /```yaml\n(interfaces:[\s\S]*?)```/.exec(readme) ?? assert.fail('the README shows no configuration');
    const config = parseConfig(yaml, 'README.md');
    assert.equal(config.interfaces.eth0?.dhcp, 'proxy');
    assert.ok(config.interfaces.eth0?.pool, 'what only "full" uses may stay when the mode is changed');
  });

  it('may leave port 80 to others', () => {
    for (const port of ['off', 8080] as const)
      assert.equal(parseConfig(`${MINIMAL}http: { port: ${port} }\n`, 'f').http.port, port);
  });

  it('may have empty sections, all their keys commented out', () => {
    const text = 'interfaces:\n  eth0:\nnodes:\n#  unknown: hold\nnfs:\npaths:\napi:\ntftp:\n';
    assert.deepEqual(parseConfig(text, 'f'), parseConfig(MINIMAL, 'f'));
  });

  it('may name subnets behind relays, the delay of old boot ROMs and further makers’ prefixes', () => {
    const text = [
      'interfaces:',
      '  eth0:',
      '    dhcp: full',
      '    pool: 10.0.0.9-10.0.0.19',
      '    romDelay: 1.5s',
      '    relayed:',
      '      - subnet: 10.1.2.0/24',
      '        pool: 10.1.2.100-10.1.2.199',
      '        router: 10.1.2.1',
      'nodes:',
      '  ouis: { "02:11:22": pi5 }',
    ].join('\n');
    const { interfaces, nodes } = parseConfig(text, 'f');
    assert.equal(interfaces.eth0?.romDelay, 1500);
    assert.deepEqual(interfaces.eth0?.relayed, [
      {
        subnet: { network: '10.1.2.0', prefix: 24 },
        pool: { first: '10.1.2.100', last: '10.1.2.199' },
        router: '10.1.2.1',
      },
    ]);
    assert.deepEqual(nodes.ouis, new Map([['02:11:22', 'pi5']]));
  });

  const mistakes: Array<{ given: string; expect: RegExp[] }> = [
    {
      given: 'interfaces:\n  eth0:\n    dhcp: on\n',
      expect: [/^f:3: interfaces\.eth0\.dhcp: must be one of proxy, full, off/],
    },
    {
      given: `${MINIMAL}nodess: {}\n`,
      expect: [/^f:3: nodess: there is no such key; the keys here are interfaces/],
    },
    {
      given: `${MINIMAL}tftp:\n  port: 69\n  rooot: /x\n`,
      expect: [/^f:5: tftp\.rooot: there is no such key; .*root, port/],
    },
    {
      given: `${MINIMAL}http: { port: 0 }\n`,
      expect: [/^f:3: http\.port: write a port from 1 to 65535, or "off"/],
    },
    { given: '', expect: [/^f:1: interfaces: name the interfaces to serve/] },
    { given: 'interfaces: {}\n', expect: [/^f:1: interfaces: name at least one interface/] },
    { given: 'interfaces: [\n', expect: [/^f:\d: this is not YAML/] },
    { given: 'interfaces:\n  eth0:\n    dhcp: full\n', expect: [/^f:3: .*needs the addresses.*add "pool/] },
    {
      given: 'interfaces:\n  eth0:\n    dhcp: full\n    pool: 10.0.0.9-10.0.0.1\n',
      expect: [/^f:4: .*write 10\.0\.0\.1-10\.0\.0\.9/],
    },
    {
      given: 'interfaces:\n  eth0:\n    dhcp: full\n    pool: 10.0.0.1\n',
      expect: [/^f:4: .*is not a range; write it as/],
    },
    { given: 'interfaces:\n  eth0:\n    lease: 1y\n', expect: [/^f:3: .*write a duration as 90s, 30m, 12h/] },
    {
      given: `${MINIMAL}nodes:\n  unknown: serve\n`,
      expect: [/^f:4: nodes\.unknown: .*needs "defaultImage"/],
    },
    {
      given: `${MINIMAL}api:\n  listen: 0.0.0.0:80\n`,
      expect: [/^f:4: api\.listen: write "off" or a loopback address/],
    },
    {
      given: 'interfaces:\n  eth0:\n    romDelay: 9s\n',
      expect: [/^f:3: interfaces\.eth0\.romDelay: write the seconds/],
    },
    {
      given: 'interfaces:\n  eth0:\n    relayed: [{ subnet: 10.1.2.0 }]\n',
      expect: [/^f:3: interfaces\.eth0\.relayed\.0\.subnet: "10\.1\.2\.0" is not a subnet; write it as/],
    },
    {
      given:
        'interfaces:\n  eth0:\n    dhcp: full\n    pool: 10.0.0.9-10.0.0.19\n    relayed: [{ subnet: 10.1.2.0/24 }]\n',
      expect: [/^f:5: interfaces\.eth0\.relayed\.0: "dhcp: full" needs "pool: FIRST-LAST" and "router/],
    },
    { given: `${MINIMAL}nodes:\n  ouis: { b8-27: pi3 }\n`, expect: [/^f:4: nodes\.ouis.*88:a2:9e/] },
    { given: `${MINIMAL}paths:\n  state: here\n`, expect: [/^f:4: paths\.state: write an absolute path/] },
    {
      given: 'interfaces:\n  eth0:\n    dhcp: on\n    dns: [1.2.3]\nnfs:\n  server: samba\n',
      expect: [
        /^f:3: /,
        /\nf:4: interfaces\.eth0\.dns\.0: "1\.2\.3" is not an IPv4 address/,
        /\nf:6: nfs\.server: must be one of/,
      ],
    },
  ];
  for (const { given, expect } of mistakes) {
    it(`says where and what in ${JSON.stringify(given)}`, () => {
      assert.throws(
        () => parseConfig(given, 'f'),
        (error: unknown) =>
          error instanceof Refusal && expect.every((pattern) => pattern.test(error.message)),
      );
    });
  }
});
