import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { Appliance } from '../rack/appliance.ts';
import { Host } from '../rack/host.ts';
import { sealGeneration } from '../rack/sealed.ts';

const SERVER = '192.168.172.17';
const SERIAL = 'ab000004';
const KERNEL = `${SERIAL}/kernel8.img`;
/** By name: nothing, less and more than a block, exact multiples of it, and more blocks than a byte can count. */
const SIZES = { empty: 0, short: 511, block: 512, longer: 513, blocks: 1468 * 40, big: 3_000_001 };

type Fetch = (path: string, to: string) => Promise<unknown>;

describe('foreign clients fetch files, bit for bit', { timeout: 180_000 }, () => {
  let appliance: Appliance;
  let host: Host;

  before(async () => {
    appliance = await Appliance.make('files', 'dhcp: full, pool: 192.168.172.100-192.168.172.199', {
      nfs: 'none',
      generations: 'generations',
      settings: ['tftp: { root: FOLDER/plain }'],
    });
    await mkdir(`${appliance.folder}/plain`);
    await mkdir(`${appliance.folder}/fetched`);
    for (const [name, size] of Object.entries(SIZES))
      await writeFile(`${appliance.folder}/plain/${name}`, randomBytes(size));
    const generation = await sealGeneration(`${appliance.folder}/generations`);
    await appliance.start();
    await appliance.publish(generation);
    await appliance.netboot('add-node', SERIAL, '--image', 'web');
    host = await Host.plugIn(appliance, 'client', '192.168.172.80/24');
    paths = new Map([
      ...Object.keys(SIZES).map((name) => [name, `${appliance.folder}/plain/${name}`] as const),
      [KERNEL, `${appliance.folder}/generations/${generation}/boot/kernel8.img`],
    ]);
  });
  after(async () => {
    await host?.unplug();
    await appliance?.remove();
  });

  /** Where each file that may be asked for lies. */
  let paths: ReadonlyMap<string, string> = new Map();
  const run = (program: string, ...args: string[]) => host.run('timeout', '60', program, ...args);
  /** The client's name, the words it is called with, and how. */
  const clients: ReadonlyArray<readonly [string, Fetch]> = [
    ['busybox tftp', (path, to) => run('busybox', 'tftp', '-g', '-r', path, '-l', to, SERVER)],
    [
      'busybox tftp, blocks of 1468',
      (path, to) => run('busybox', 'tftp', '-b', '1468', '-g', '-r', path, '-l', to, SERVER),
    ],
    ['tftp-hpa', (path, to) => run('tftp', '-m', 'binary', SERVER, '-c', 'get', path, to)],
    ['atftp', (path, to) => run('atftp', '-g', '-r', path, '-l', to, SERVER)],
    ['atftp, blksize 1024 tsize 0', atftp('blksize 1024', 'tsize 0')],
    ['atftp, blksize 1468 windowsize 4', atftp('blksize 1468', 'windowsize 4')],
    [
      'atftp, blksize 1468 windowsize 16 tsize 0 timeout 2',
      atftp('blksize 1468', 'windowsize 16', 'tsize 0', 'timeout 2'),
    ],
    ['curl tftp', curl('tftp', '--tftp-blksize', '1468')],
    ['curl tftp without options', curl('tftp', '--tftp-no-options')],
    ['curl http', curl('http')],
  ];

  function atftp(...options: string[]): Fetch {
    const flags = options.flatMap((option) => ['--option', option]);
    return (path, to) => run('atftp', ...flags, '-g', '-r', path, '-l', to, SERVER);
  }

  function curl(scheme: string, ...flags: string[]): Fetch {
    return (path, to) => run('curl', '-sS', '--fail', ...flags, '-o', to, `${scheme}://${SERVER}/${path}`);
  }

  for (const [name, fetch] of clients) {
    it(name, async () => {
      for (const [path, original] of paths) {
        // curl takes "tsize 0", the size of an empty file, for a mistake.
        if (path === 'empty' && name === 'curl tftp') continue;
        const to = `${appliance.folder}/fetched/${path.replace('/', '-')}`;
        await writeFile(to, 'what was here before');
        await fetch(path, to);
        const [fetched, expected] = [await readFile(to), await readFile(original)];
        assert.ok(fetched.equals(expected), `${path}: ${fetched.length} bytes of ${expected.length}`);
      }
    });
  }

  it('curl http, in parts and from where it was broken off (checklist 58)', async () => {
    const [path, original] = ['big', await readFile(paths.get('big') as string)];
    const url = `http://${SERVER}/${path}`;
    const to = `${appliance.folder}/fetched/part`;
    const parts: ReadonlyArray<readonly [string, Buffer]> = [
      ['0-0', original.subarray(0, 1)],
      ['1000-1999', original.subarray(1000, 2000)],
      ['2999999-', original.subarray(2_999_999)],
      ['-17', original.subarray(-17)],
      ['0-9999999', original],
    ];
    for (const [range, expected] of parts) {
      const status = await run('curl', '-sS', '-o', to, '-r', range, '-w', '%{http_code}', url);
      assert.equal(status, '206', range);
      assert.ok((await readFile(to)).equals(expected), range);
    }
    await writeFile(to, original.subarray(0, 1_234_567));
    await run('curl', '-sS', '--fail', '-C', '-', '-o', to, url);
    assert.ok((await readFile(to)).equals(original), 'continued');
    const past = await run('curl', '-sS', '-o', '/dev/null', '-r', '3000001-', '-w', '%{http_code}', url);
    assert.equal(past, '416');
  });

  it('curl http is told the length and nothing else when it asks for the head', async () => {
    const head = await run('curl', '-sS', '-I', `http://${SERVER}/${KERNEL}`);
    const size = (await stat(paths.get(KERNEL) as string)).size;
    assert.match(head, /^HTTP\/1\.1 200 /);
    assert.match(head, new RegExp(`^content-length: ${size}\\r?$`, 'im'));
  });

  it('each is told of a file that is not there', async () => {
    const to = `${appliance.folder}/fetched/none`;
    for (const [name, fetch] of clients) {
      const said = await fetch('nothing-here', to).then(String, (error: { all?: string }) => error.all ?? '');
      // curl says ENOTCONN of its own socket; its number is that of TFTP's error 1.
      assert.match(said, /no file|not found|curl: \(68\)|404/i, name);
    }
  });
});
