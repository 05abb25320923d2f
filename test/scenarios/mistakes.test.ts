import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { arch } from 'node:process';
import { after, before, describe, it } from 'node:test';
import { execa } from 'execa';
import { Appliance, type Attempt, eventually } from '../rack/appliance.ts';
import { Host } from '../rack/host.ts';
import { sealGeneration } from '../rack/sealed.ts';

const FULL = 'dhcp: full, pool: 192.168.172.100-192.168.172.150, lease: 1h';
const OFF = 'dhcp: off';

/** One line that names the thing and the remedy, and the exit code of a refusal. */
function assertRefused({ exitCode, stderr }: Attempt, told: RegExp): void {
  assert.equal(exitCode, 1, stderr);
  assert.match(stderr, told);
  assert.equal(stderr.split('\n').length, 1, `one line, not:\n${stderr}`);
}

async function pidsIn(namespace: string): Promise<string> {
  return (await execa('ip', ['netns', 'pids', namespace])).stdout;
}

describe('what stops the service from starting', { timeout: 120_000 }, () => {
  let appliance: Appliance;
  let untouched: string[];

  before(async () => {
    appliance = await Appliance.make('mistakes', FULL, { nfs: 'none', generations: 'generations' });
    untouched = await readdir(appliance.folder);
  });

  after(() => appliance?.remove());

  /** A configuration beside the appliance's own. */
  async function configure(lines: readonly string[]): Promise<string> {
    const file = `${appliance.folder}/wrong.yaml`;
    await writeFile(file, `${lines.join('\n').replaceAll('FOLDER', appliance.folder)}\n`);
    return file;
  }

  const REST = [
    'nfs: { server: none, exports: FOLDER/exports }',
    'paths: { state: FOLDER/wrong-state, generations: FOLDER/generations }',
    'api: { socket: FOLDER/wrong.sock }',
  ];

  async function assertNothingLeft(): Promise<void> {
    const left = (await readdir(appliance.folder)).filter((name) => name !== 'wrong.yaml');
    assert.deepEqual(left, untouched);
    assert.equal(await pidsIn(`nb-${appliance.rack}`), '');
  }

  const wrong = [
    {
      given: 'an interface that is not there',
      config: ['interfaces: { eth7: { dhcp: proxy } }', ...REST],
      expect: /The interface "eth7" is missing .*Interfaces with an address: br0\. .*ip address add/,
    },
    {
      given: 'a pool outside the subnet',
      config: ['interfaces: { br0: { dhcp: full, pool: 10.1.1.10-10.1.1.20 } }', ...REST],
      expect:
        /pool address 10\.1\.1\.10 is outside the subnet .*"br0" \(192\.168\.172\.0\/24\)\. Correct interfaces\.br0\.pool/,
    },
    {
      given: 'a router outside the subnet',
      config: [`interfaces: { br0: { ${FULL}, router: 10.1.1.1 } }`, ...REST],
      expect: /router 10\.1\.1\.1 is outside the subnet .*Correct interfaces\.br0\.router/,
    },
    {
      given: 'an unknown key',
      config: ['interfaces:', '  br0:', '    dhcp: proxy', '    rooter: 192.168.172.1', ...REST],
      expect: /wrong\.yaml:4: interfaces\.br0\.rooter: there is no such key; the keys here are .*router/,
    },
    {
      given: 'a text that is not YAML',
      config: ['interfaces: { br0: { dhcp: proxy }', ...REST],
      expect: /wrong\.yaml:\d+: this is not YAML: /,
    },
    {
      given: 'a place for its socket that is none',
      config: [
        'interfaces: { br0: { dhcp: proxy } }',
        ...REST.slice(0, 2),
        'api: { socket: FOLDER/generations }',
      ],
      expect:
        /no place for a socket at ".*generations" \(api\.socket\): something else lies there\. Name another place/,
    },
    {
      given: 'an API address that is none',
      config: [
        'interfaces: { br0: { dhcp: proxy } }',
        ...REST.slice(0, 2),
        'api: { listen: 127.0.0.300:80 }',
      ],
      expect: /wrong\.yaml:4: api\.listen: write "off" or a loopback address and port as 127\.0\.0\.1:8067/,
    },
    {
      given: 'an NFS server that is not installed',
      config: [
        'interfaces: { br0: { dhcp: proxy } }',
        ...REST.map((line) => line.replace('server: none', 'server: ganesha')),
      ],
      without: { folder: '/usr/bin', program: 'ganesha.nfsd' },
      expect: /NFS-Ganesha need ganesha\.nfsd\. Install: apt-get install nfs-ganesha /,
    },
    {
      given: 'no tool to look at the interfaces with',
      config: ['interfaces: { br0: { dhcp: proxy } }', ...REST],
      without: { folder: '/usr/sbin', program: 'ip', also: '/usr/bin' },
      expect: /The program "ip" is not installed\. Install it: apt-get install iproute2/,
    },
  ];
  for (const { given, config, expect, without } of wrong) {
    it(`refuses ${given}`, async () => {
      const file = await configure(config);
      const prelude = without ? hide(without.program, without.folder, without.also) : '';
      assertRefused(await appliance.attempt(['--config', file, 'serve'], { prelude }), expect);
      await assertNothingLeft();
    });
  }

  it('refuses a configuration file that is not there', async () => {
    const answer = await appliance.attempt(['--config', `${appliance.folder}/none.yaml`, 'serve']);
    assertRefused(answer, /There is no configuration file ".*none\.yaml"\. Write one with "netboot init"/);
  });

  it('refuses a state folder that it may not write', async () => {
    const state = `${appliance.folder}/generations`;
    const paths = `paths: { state: ${state}/state, generations: ${state} }`;
    const file = await configure([
      `interfaces: { br0: { ${FULL} } }`,
      REST[0] as string,
      paths,
      REST[2] as string,
    ]);
    // Somebody else's folder, and without the capability that lets root write everywhere.
    const rights = ['dac_override', 'dac_read_search'].map((right) => `-${right}`).join(',');
    const prelude = [
      `mount -t tmpfs -o mode=555,uid=65534 none ${state}`,
      `set -- setpriv --bounding-set=${rights} --inh-caps=${rights} -- "$@"`,
    ].join('\n');
    const refused = await appliance.attempt(['--config', file, 'serve'], { prelude });
    assertRefused(
      refused,
      /generations\/state" \(paths\.state\) cannot be written: .*Make it writable for the user/,
    );
    await assertNothingLeft();
  });

  it('refuses a state folder on a disk that is read-only', async () => {
    const file = await configure([
      `interfaces: { br0: { ${FULL} } }`,
      REST[0] as string,
      'paths: { state: FOLDER/generations, generations: FOLDER/generations }',
      REST[2] as string,
    ]);
    const folder = `${appliance.folder}/generations`;
    const prelude = `mount --bind ${folder} ${folder}; mount -o remount,bind,ro ${folder}`;
    const refused = await appliance.attempt(['--config', file, 'serve'], { prelude });
    assertRefused(refused, /generations" \(paths\.state\) cannot be written: EROFS/);
    await assertNothingLeft();
  });

  it('refuses a state folder whose disk is full', async () => {
    const file = await configure([
      `interfaces: { br0: { ${FULL} } }`,
      REST[0] as string,
      'paths: { state: FOLDER/generations }',
      REST[2] as string,
    ]);
    const folder = `${appliance.folder}/generations`;
    const fill = `head -c 2000000 /dev/zero >${folder}/filler 2>/dev/null || true`;
    const prelude = `mount -t tmpfs -o size=1m full ${folder}; ${fill}`;
    const refused = await appliance.attempt(['--config', file, 'serve'], { prelude });
    assertRefused(refused, /disk of the state folder \(paths\.state\) is full\. Free some space/);
    await assertNothingLeft();
  });

  it('refuses a port that another program holds', async () => {
    for (const dhcp of [FULL, 'dhcp: proxy']) {
      const file = await configure([`interfaces: { br0: { ${dhcp} } }`, ...REST]);
      const prelude = [
        'dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --dhcp-range=192.168.172.50,192.168.172.60 --dhcp-leasefile=/dev/null --user=root --pid-file &',
        'other=$!; trap "kill $other" EXIT',
        'until ss -Hlun "sport = :67" | grep -q :67; do sleep 0.1; done',
        '"$@"; exit $?',
      ].join('\n');
      const refused = await appliance.attempt(['--config', file, 'serve'], { prelude });
      assertRefused(
        refused,
        /UDP port 67 on interface "br0" cannot be opened: .*in use.*ss -ulpn sport = :67/,
      );
      await eventually(5_000, assertNothingLeft);
    }
  });

  it('refuses a state that is damaged, and leaves it as it is', async () => {
    const file = await configure([`interfaces: { br0: { ${FULL} } }`, ...REST]);
    await mkdir(`${appliance.folder}/wrong-state`);
    await writeFile(`${appliance.folder}/wrong-state/state.db`, 'damaged '.repeat(2_000));
    const refused = await appliance.attempt(['--config', file, 'serve']);
    assertRefused(refused, /state\.db" is damaged: .*Put it back from a backup, or move it away/);
    assert.match(await readFile(`${appliance.folder}/wrong-state/state.db`, 'utf8'), /^(damaged ){2000}$/);
    await rm(`${appliance.folder}/wrong-state`, { recursive: true });
    await assertNothingLeft();
  });

  it('refuses an API address that another program holds, and ends its own socket', async () => {
    const rest = REST.with(2, 'api: { socket: FOLDER/wrong.sock, listen: 127.0.0.1:8067 }');
    const file = await configure([`interfaces: { br0: { ${FULL} } }`, ...rest]);
    const holder = 'require("net").createServer().listen(8067, "127.0.0.1", () => console.error("up"))';
    const prelude = [
      `"${process.execPath}" -e '${holder}' 2>/dev/null & other=$!; trap "kill $other" EXIT`,
      'until ss -Hltn "sport = :8067" | grep -q :8067; do sleep 0.1; done',
      '"$@"; exit $?',
    ].join('\n');
    const refused = await appliance.attempt(['--config', file, 'serve'], { prelude });
    assertRefused(refused, /The API cannot listen at "127\.0\.0\.1:8067": .*EADDRINUSE.*Correct api\.listen/);
    await rm(`${appliance.folder}/wrong-state`, { recursive: true });
    await eventually(5_000, assertNothingLeft);
  });

  it('tells of a broken configuration in short commands too', async () => {
    const file = await configure(['api: { socket: relative.sock }']);
    const answer = await appliance.attempt(['--config', file, 'nodes']);
    assert.equal(answer.exitCode, 1);
    assert.match(answer.stderr, /wrong\.yaml:1: api\.socket: must be an absolute path/);
  });

  it('refuses wrong usage with exit code 2', async () => {
    for (const args of [['serve', '--chekc'], ['add-node'], ['frobnicate'], ['add-node', '1', '2']]) {
      const { exitCode, stderr } = await appliance.attempt(args);
      assert.equal(exitCode, 2, stderr);
      assert.match(stderr, /^error: /);
    }
  });

  it('tells the command line’s user that the service does not run', async () => {
    const answer = await appliance.attempt(['--config', appliance.configFile, 'nodes']);
    assertRefused(answer, /netboot service does not answer at ".*api\.sock" .*systemctl start netboot/);
  });
});

/** Shell commands that take a program away, for the one process they are the prelude of. */
function hide(program: string, ...folders: Array<string | undefined>): string {
  const hidden = folders
    .filter((folder) => folder !== undefined)
    .map((folder, index) => {
      const layer = `/run/hide${index}`;
      return [
        `mkdir -p ${layer}/upper ${layer}/work`,
        `mount -t overlay overlay -o lowerdir=${folder},upperdir=${layer}/upper,workdir=${layer}/work ${folder}`,
        `rm -f ${folder}/${program}`,
      ].join('\n');
    });
  return ['mount -t tmpfs hide /run', ...hidden].join('\n');
}

describe('what a running service refuses', { timeout: 120_000 }, () => {
  let appliance: Appliance;

  before(async () => {
    appliance = await Appliance.make('refusals', FULL, {
      nfs: 'none',
      generations: 'generations',
      cache: 'cache',
    });
    await appliance.start();
    await appliance.publish(await sealGeneration(`${appliance.folder}/generations`));
    await appliance.netboot(
      'add-node',
      'aa000001',
      '--name',
      'one',
      '--ip',
      '192.168.172.21',
      '--mac',
      'dc:a6:32:00:00:01',
    );
  });

  after(() => appliance?.remove());

  const cases = [
    {
      given: 'a serial that is there',
      args: ['aa000001'],
      expect: /Node aa000001 is there already, as "one"\. Change it with: netboot set-node/,
    },
    {
      given: 'a second node with the IP',
      args: ['aa000002', '--ip', '192.168.172.21'],
      expect: /192\.168\.172\.21 belongs to node one \(aa000001\)\. Give another/,
    },
    {
      given: 'a second node with the name',
      args: ['aa000002', '--name', 'one'],
      expect: /name "one" belongs to node one .*--name/,
    },
    {
      given: 'a second node with the MAC',
      args: ['aa000002', '--mac', 'DC-A6-32-00-00-01'],
      expect: /dc:a6:32:00:00:01 belongs to node one .*--mac/,
    },
    {
      given: 'an unknown image',
      args: ['aa000002', '--image', 'wbe'],
      expect: /There is no image "wbe"\. Known images: .*web/,
    },
    {
      given: 'an unknown role',
      args: ['aa000002', '--role', 'wbe'],
      expect: /image "web" has no role "wbe"\. Its roles: web/,
    },
    {
      given: 'an address of another network',
      args: ['aa000002', '--ip', '10.0.0.1'],
      expect: /10\.0\.0\.1 .* none of the served subnets\. Served: 192\.168\.172\.0\/24 \(br0\)/,
    },
    {
      given: 'the appliance’s own address',
      args: ['aa000002', '--ip', '192.168.172.17'],
      expect: /is this appliance's own\. Give another/,
    },
    {
      given: 'an address that is none',
      args: ['aa000002', '--ip', '192.168.172'],
      expect:
        /ip: "192\.168\.172" is not an IPv4 address; write it as|"192\.168\.172" is not an IPv4 address; write it as/,
    },
    {
      given: 'a name that is no host name',
      args: ['aa000002', '--name', 'One!'],
      expect: /name: a name has 1-63 lower-case letters/,
    },
    {
      given: 'a serial of 9 digits',
      args: ['aa0000021'],
      expect:
        /"aa0000021" is not a Raspberry Pi serial number: it has 9 hexadecimal digits, not 8 or 16; for example/,
    },
    {
      given: 'a serial with a stranger in it',
      args: ['aa00000g'],
      expect: /"g" is not a hexadecimal digit\. Give 8 or 16 digits, for example/,
    },
    { given: 'an empty serial', args: [''], expect: /serial number is empty\. Give 8 or 16/ },
    {
      given: 'a serial of zeros',
      args: ['1000000000000000'],
      expect: /its low 32 bits are zero\. Read it with/,
    },
  ];
  for (const { given, args, expect } of cases) {
    it(`refuses ${given}`, async () => {
      assertRefused(await appliance.attempt(['--config', appliance.configFile, 'add-node', ...args]), expect);
    });
  }

  it('has no node but the first after all that', async () => {
    const { nodes } = await appliance.nodes();
    assert.deepEqual(
      nodes.map(({ serial }) => serial),
      ['aa000001'],
    );
  });

  for (const { shared, state, socket, expect } of [
    {
      shared: 'the socket',
      state: 'state2',
      socket: 'api.sock',
      expect:
        /Another netboot service answers at ".*api\.sock"\. Stop it, or give this one its own api\.socket/,
    },
    {
      shared: 'the state',
      state: 'state',
      socket: 'api2.sock',
      expect:
        /Another netboot service holds ".*state\/state\.db"\. Stop it, or give this one its own paths\.state/,
    },
  ]) {
    it(`refuses a second service that shares ${shared}`, async () => {
      const file = `${appliance.folder}/second.yaml`;
      await writeFile(
        file,
        [
          `interfaces: { br0: { ${OFF} } }`,
          `nfs: { server: none, exports: ${appliance.folder}/exports }`,
          `paths: { state: ${appliance.folder}/${state} }`,
          `api: { socket: ${appliance.folder}/${socket} }`,
          'tftp: { port: 6969 }',
        ].join('\n'),
      );
      assertRefused(await appliance.attempt(['--config', file, 'serve']), expect);
      assert.ok(!existsSync(`${appliance.folder}/state2`));
      assert.ok(!existsSync(`${appliance.folder}/api2.sock`));
      assert.equal((await appliance.nodes()).nodes.length, 1, 'the first one goes on');
      await rm(file);
    });
  }

  it('refuses to build an image without mksquashfs, and leaves nothing', async () => {
    const before = await readdir(`${appliance.folder}/generations`);
    const prelude = hide('mksquashfs', '/usr/bin');
    const answer = await appliance.attempt(['--config', appliance.configFile, 'build-image', 'web'], {
      prelude,
    });
    assertRefused(
      answer,
      /The program "mksquashfs" is not installed\. Install it: apt-get install squashfs-tools/,
    );
    assert.deepEqual(await readdir(`${appliance.folder}/generations`), before);
    assert.deepEqual(await readdir(`${appliance.folder}/cache/work`), []);
  });

  it('refuses to build an image where no handler for arm64 programs can be had', {
    skip: arch === 'arm64',
  }, async () => {
    // As in a container without the right to mount: handlers can be neither seen nor registered. The machine's own stay.
    const prelude = hide('mount', '/usr/bin');
    const answer = await appliance.attempt(['--config', appliance.configFile, 'build-image', 'web'], {
      prelude,
    });
    assertRefused(answer, /Programs of another architecture cannot be run here .*Install qemu-user-static/);
    assert.deepEqual(await readdir(`${appliance.folder}/cache/work`), []);
  });
});

describe('a disk that fills up under a running service', { timeout: 60_000 }, () => {
  let appliance: Appliance;
  let client: Host;
  /** The state folder as the service sees it: a small disk that only it has mounted. */
  let state: string;

  before(async () => {
    appliance = await Appliance.make('fulldisk', FULL, { nfs: 'none', generations: 'generations' });
    const folder = `${appliance.folder}/state`;
    await appliance.start({ prelude: `mkdir ${folder}; mount -t tmpfs -o size=1m small ${folder}` });
    state = `/proc/${appliance.pid}/root${folder}`;
    await appliance.publish(await sealGeneration(`${appliance.folder}/generations`));
    client = await Host.plugIn(appliance, 'client');
  });

  after(async () => {
    await client?.unplug();
    await appliance?.remove();
  });

  const askForAddress = () =>
    client.run('udhcpc', '-i', 'eth0', '-n', '-q', '-f', '-t', '2', '-T', '1', '-s', '/bin/true');

  it('refuses what it cannot keep, gives no address away, and goes on when there is space again', async () => {
    const { pid } = appliance;
    await appliance.netboot('add-node', 'aa000001');
    await execa('dd', ['if=/dev/zero', `of=${state}/filler`, 'bs=4k'], { reject: false });

    // The last block of the log, which is larger than its pages, takes a write or two more.
    const kept = ['aa000001'];
    const add = (serial: string) => appliance.attempt(['--config', appliance.configFile, 'add-node', serial]);
    let answer = await add('aa000002');
    for (let next = 3; answer.exitCode === 0 && next < 6; next++) {
      kept.push(`aa00000${next - 1}`);
      answer = await add(`aa00000${next}`);
    }
    assertRefused(
      answer,
      /disk of the state folder \(paths\.state\) is full\. Free some space; nothing was written/,
    );
    await assert.rejects(askForAddress(), /no lease/);
    const { nodes } = await appliance.nodes();
    assert.deepEqual(
      nodes.map(({ serial }) => serial),
      kept,
    );
    // An offer that a client has to ask for again is held in memory; what it asks for then is refused.
    const leases = JSON.parse(await appliance.netboot('leases', '--json')) as Array<{ state: string }>;
    assert.deepEqual(
      leases.filter((lease) => lease.state !== 'offered'),
      [],
    );

    await rm(`${state}/filler`);
    await appliance.netboot('add-node', 'aa000009');
    assert.match(await askForAddress(), /lease of 192\.168\.172\.1\d\d obtained/);
    assert.equal(appliance.pid, pid);
    const status = JSON.parse(await appliance.netboot('status', '--json'));
    assert.equal(status.pid, pid);
    assert.ok(status.counters.dhcp.commitFailed > 0);
  });
});
