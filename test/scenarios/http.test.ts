import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmod, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { execa } from 'execa';
import type { BootKeyAnswer, FirmwareConfigAnswer, StatusAnswer } from '../../src/api/schemas.ts';
import { api } from '../rack/api.ts';
import { Appliance, eventually } from '../rack/appliance.ts';
import { Host } from '../rack/host.ts';
import { FIRMWARE_FILES, sealGeneration } from '../rack/sealed.ts';
import { powerOn } from '../rack/simulate.ts';

const SERIAL = '9ffefdef';
const SERVER = '192.168.172.17';
/** As the EEPROM of a Pi 4 sends it. */
const AGENT = 'rpiboot/1.0 (c03115; version:5b3ad1a2)';

interface LogLine {
  readonly level: number;
  readonly id?: string;
  readonly [field: string]: unknown;
}

describe('HTTP boot, by foreign clients over a wire', { timeout: 180_000 }, () => {
  let appliance: Appliance;
  let host: Host;
  let generation: string;
  const file = (name: string): string => join(appliance.folder, name);

  before(async () => {
    appliance = await Appliance.make('http', 'dhcp: full, pool: 192.168.172.100-192.168.172.150', {
      nfs: 'none',
      generations: 'generations',
      settings: ['tftp: { root: FOLDER/nowhere }'],
    });
    await appliance.start();
    generation = await sealGeneration(file('generations'));
    await appliance.publish(generation);
    await appliance.netboot('add-node', SERIAL, '--name', 'web1', '--image', 'web');
    host = await Host.plugIn(appliance, 'pi', '192.168.172.60/24');
  });

  after(async () => {
    await host?.unplug();
    await appliance?.remove();
  });

  const url = (name: string) => `http://${SERVER}/${SERIAL}/${name}`;
  const curl = (...args: string[]) => host.run('curl', '-sS', '--max-time', '20', ...args);
  const logged = async (): Promise<LogLine[]> =>
    (await appliance.log())
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as LogLine);
  /** MiB that are its own; what it maps of files is the page cache's. */
  const ownMemory = async () =>
    Number(/RssAnon:\s+(\d+)/.exec(await readFile(`/proc/${appliance.pid}/status`, 'utf8'))?.[1]) / 1024;
  const verifies = (publicKey: string, image: string, signature: string) =>
    execa('openssl', ['dgst', '-sha256', '-verify', publicKey, '-signature', signature, image]);

  /** What the EEPROM does: boot.sig, then boot.img, and the check of the one by the other. */
  async function bootOverHttp(publicKey: string): Promise<Buffer> {
    await curl('-f', '-A', AGENT, '-o', file('boot.sig'), url('boot.sig'));
    await curl('-f', '-A', AGENT, '-o', file('boot.img'), url('boot.img'));
    const [sha256, ts, rsa = ''] = (await readFile(file('boot.sig'), 'utf8')).split('\n');
    const image = await readFile(file('boot.img'));
    assert.equal(sha256, createHash('sha256').update(image).digest('hex'));
    assert.match(ts ?? '', /^ts: \d{10}$/);
    await writeFile(file('rsa'), Buffer.from(rsa.replace('rsa2048: ', ''), 'hex'));
    assert.match((await verifies(publicKey, file('boot.img'), file('rsa'))).stdout, /Verified OK/);
    return image;
  }

  it('a plain root that is not there is told at the start, and all the rest is served', async () => {
    const warning = (await logged()).find(({ id }) => id === 'TFTP_ROOT_MISSING');
    assert.match(String(warning?.msg), /nowhere" \(tftp\.root\) cannot be read: .*Make it/);
    const check = await appliance.attempt(['--config', appliance.configFile, 'serve', '--check']);
    assert.equal(check.exitCode, 0);
    assert.match(check.stderr, /tftp\.root/);
  });

  it('without a key there is no signature, and no trace of an alert', async () => {
    assert.match(await curl('-w', ' %{http_code}', url('boot.sig')), /netboot keys\n 404$/);
  });

  it('"netboot keys" makes the key once; only its public half is ever shown', async () => {
    const { stdout, stderr } = await appliance.attempt(['--config', appliance.configFile, 'keys']);
    assert.match(stderr, /^made a key, SHA-256 [0-9a-f]{64}$/);
    await writeFile(file('netboot.pem'), `${stdout}\n`);
    assert.match(
      (await execa('openssl', ['pkey', '-pubin', '-in', file('netboot.pem'), '-text', '-noout'])).stdout,
      /2048 bit/,
    );
    const { stdout: der } = await execa('sh', [
      '-c',
      `openssl pkey -pubin -in ${file('netboot.pem')} -outform DER | sha256sum`,
    ]);
    const again = JSON.parse(await appliance.netboot('keys', '--json')) as BootKeyAnswer;
    assert.deepEqual([again.outcome, again.fingerprint], ['present', der.slice(0, 64)]);
    assert.doesNotMatch(JSON.stringify(again), /PRIVATE/);
    const key = file('state/keys/boot.pem');
    assert.equal((await stat(key)).mode & 0o777, 0o600);
  });

  it('boot.sig and boot.img come with their length, and the one verifies the other (checklist 57, 59)', async () => {
    const head = await curl('-I', url('boot.img'));
    assert.match(head, /^HTTP\/1\.1 200 OK\r?\n/);
    const image = await bootOverHttp(file('netboot.pem'));
    assert.match(head, new RegExp(`^Content-Length: ${image.length}\\r?$`, 'm'));
    assert.doesNotMatch(head, /Location|Transfer-Encoding|Content-Encoding/i);
    const listed = (await execa('mdir', ['-/', '-b', '-i', file('boot.img'), '::'])).stdout;
    for (const name of [...FIRMWARE_FILES, 'kernel8.img', 'config.txt', 'cmdline.txt'])
      assert.ok(listed.includes(`::/${name}`), name);
    await execa('fsck.vfat', ['-n', file('boot.img')]);
    const cmdline = (await execa('mcopy', ['-i', file('boot.img'), '::/cmdline.txt', '-'])).stdout;
    assert.match(cmdline, /systemd\.hostname=web1 /);
  });

  it('a broken download goes on where it was (checklist 58)', async () => {
    const image = await readFile(file('boot.img'));
    await writeFile(file('part.img'), image.subarray(0, 20_000_000));
    await curl('-f', '-C', '-', '-o', file('part.img'), url('boot.img'));
    assert.ok((await readFile(file('part.img'))).equals(image));
  });

  it('the log has the board of the Pi that asked (checklist 58)', async () => {
    const sent = (await logged()).find(
      ({ id, path }) => id === 'HTTP_SENT' && path === `/${SERIAL}/boot.img`,
    );
    assert.deepEqual(
      [sent?.client, sent?.interface, sent?.boardRevision],
      ['192.168.172.60', 'br0', 'c03115'],
    );
  });

  it('the same tree as over TFTP, for the same clients', async () => {
    for (const name of ['config.txt', 'cmdline.txt', 'kernel8.img', 'overlays/overlay_map.dtb']) {
      const [http, tftp] = await Promise.all(
        [url(name), `tftp://${SERVER}/${SERIAL}/${name}`].map((from) => curl('-f', from)),
      );
      assert.ok(http === tftp && tftp !== '', name);
    }
    await appliance.netboot('set-node', 'web1', '--tftp-prefix', 'rack/one/');
    assert.match(await curl('-f', `tftp://${SERVER}/rack/one/cmdline.txt`), /hostname=web1 /);
    assert.match(await curl('-f', `http://${SERVER}/rack/one/cmdline.txt`), /hostname=web1 /);
  });

  it('what a Pi 3 asks for without a prefix (checklist 43)', async () => {
    assert.match(await curl('-f', `tftp://${SERVER}/bootcode.bin`), /the bytes of bootcode\.bin/);
    await assert.rejects(curl(`tftp://${SERVER}/bootsig.bin`), /curl: \(68\)/); // ERROR 1, at once
  });

  it('boot.img over TFTP, as boot_ramdisk=1 asks for it', async () => {
    assert.doesNotMatch(await curl(url('config.txt')), /boot_ramdisk/);
    await appliance.netboot('set-node', 'web1', '--ramdisk', 'on');
    assert.match(await curl(url('config.txt')), /^boot_ramdisk=1$/m);
    const fetch = [
      '-f',
      '--tftp-blksize',
      '1468',
      '-o',
      file('tftp.img'),
      `tftp://${SERVER}/${SERIAL}/boot.img`,
    ];
    await host.run('curl', '-sS', '--max-time', '60', ...fetch);
    await curl('-f', '-o', file('http.img'), url('boot.img'));
    assert.ok((await readFile(file('tftp.img'))).equals(await readFile(file('http.img'))));
    const inner = (await execa('mcopy', ['-i', file('tftp.img'), '::/config.txt', '-'])).stdout;
    assert.match(inner, /^bootloader_update=0$/m);
    assert.doesNotMatch(inner, /boot_ramdisk/);
    await appliance.netboot('set-node', 'web1', '--ramdisk', 'off');
    assert.doesNotMatch(await curl(url('config.txt')), /boot_ramdisk/);
  });

  it('a row of nodes fetch each its own boot.img at once, and share all but its end in memory', async () => {
    const serials = Array.from({ length: 12 }, (_, index) => (0xaa000000 + index).toString(16));
    for (const serial of serials)
      await api(appliance.socket, 'POST', '/v1/nodes', { serial, image: 'web', ramdisk: true });
    const before = await ownMemory();
    let most = before;
    const watching = setInterval(async () => {
      most = Math.max(most, await ownMemory());
    }, 100);
    const hashes = await Promise.all(
      serials.map(async (serial) => {
        const from = `tftp://${SERVER}/${serial}/boot.img`;
        const fetch = `curl -sSf --max-time 60 --tftp-blksize 1468 ${from} | sha256sum`;
        return (await host.run('sh', '-c', fetch)).slice(0, 64);
      }),
    );
    clearInterval(watching);
    for (const [index, serial] of serials.entries())
      assert.ok(
        (await curl('-f', `http://${SERVER}/${serial}/boot.sig`)).startsWith(`${hashes[index]}\n`),
        serial,
      );
    assert.equal(new Set(hashes).size, serials.length);
    // Twelve copies would be 400 MiB.
    assert.ok(most - before < 150, `${before} MiB before, ${most} MiB at most`);
  });

  for (const [model, serial] of [
    ['pi4', 'aa000000'],
    ['pi5', 'aa000001'],
  ] as const) {
    it(`a ${model} boots from its boot.img: one file over TFTP in place of dozens`, async () => {
      const boot = await powerOn(appliance, model, '--serial', serial);
      assert.ok(boot.isKernelServed, boot.transcript);
      assert.match(boot.transcript, /boot\.img/);
      const asked = new Set(boot.asked.map((path) => path.replace(`${serial}/`, '')));
      for (const name of ['kernel8.img', 'cmdline.txt', 'overlays/overlay_map.dtb'])
        assert.ok(!asked.has(name), name);
      assert.match(boot.transcript, new RegExp(`hostname=pi-${serial} `));
    });
  }

  it('as many slow readers as one address may have do not hold up a quick one (checklist 58)', async () => {
    const before = await ownMemory();
    const slow = Array.from({ length: 3 }, () =>
      host.startScript('slow-readers.ts', [SERVER, '30', `/${SERIAL}/boot.img`], () => {}),
    );
    const running = async () =>
      (JSON.parse(await appliance.netboot('status', '--json')) as StatusAnswer).counters.http?.running ?? 0;
    // 64 connections of one address at most.
    await eventually(20_000, async () => assert.ok((await running()) >= 60));
    const held = (await ownMemory()) - before;
    const other = await Host.plugIn(appliance, 'quick', '192.168.172.61/24');
    const started = performance.now();
    await other.run('curl', '-sS', '-f', '--max-time', '20', '-o', '/dev/null', url('boot.img'));
    const ms = performance.now() - started;
    await other.unplug();
    for (const child of slow) child.kill('SIGTERM');
    assert.ok(ms < 10_000, `${ms} ms`);
    assert.ok(held < 64, `${held} MiB for 64 of them`);
    await eventually(10_000, async () => assert.equal(await running(), 0));
  });

  it('what is looked for in vain raises no alert (checklist 45)', async () => {
    const count = async () => (await logged()).filter(({ level }) => level >= 40).length;
    const before = await count();
    for (const name of ['recovery.elf', 'autoboot.txt', 'dt-blob.bin', 'armstub8.bin', 'pieeprom.sig'])
      for (const from of [url(name), `tftp://${SERVER}/${SERIAL}/${name}`]) await curl(from).catch(() => {});
    assert.equal(await count(), before);
  });

  it('"netboot firmware-config" prints what to flash, clean for a file', async () => {
    const { stdout, stderr } = await appliance.attempt([
      '--config',
      appliance.configFile,
      'firmware-config',
      'web1',
    ]);
    assert.deepEqual(
      stdout.split('\n').filter((line) => line.startsWith('HTTP_')),
      [`HTTP_HOST=${SERVER}`, 'HTTP_PORT=80', `HTTP_PATH=${SERIAL}`],
    );
    assert.match(stderr, /^1\. Here: netboot keys > netboot\.pem \(your key, SHA-256 [0-9a-f]{64}/);
    const tftp = await appliance.netboot('firmware-config', SERIAL, '--tftp', '--json');
    assert.ok((JSON.parse(tftp) as FirmwareConfigAnswer).settings.includes('TFTP_PREFIX_STR=rack/one/'));
    const nobody = await appliance.attempt(['--config', appliance.configFile, 'firmware-config', 'nobody']);
    assert.match(nobody.stderr, /There is no node "nobody"/);
    const both = await appliance.attempt([
      '--config',
      appliance.configFile,
      'firmware-config',
      'web1',
      '--http',
      '--tftp',
    ]);
    assert.equal(both.exitCode, 2);
  });

  it('a key that others may read signs nothing until that is mended', async () => {
    const key = file('state/keys/boot.pem');
    await chmod(key, 0o644);
    const refused = await appliance.attempt(['--config', appliance.configFile, 'keys']);
    assert.equal(refused.exitCode, 1);
    assert.match(refused.stderr, /not its owner's alone \(mode 644\)\. Run: chmod 600 .*boot\.pem/);
    assert.match(await curl('-w', ' %{http_code}', url('boot.sig')), /chmod 600 .* 404$/s);
    await chmod(key, 0o600);
    await bootOverHttp(file('netboot.pem'));
  });

  it('after a kill it signs the same, and a new generation later', async () => {
    const signature = () => curl('-f', url('boot.sig'));
    const bootsAnew = () => {
      const child = host.startScript('hazard-client.ts', ['pi', 'dc:a6:32:01:36:c2', SERIAL], () => {});
      return new Promise((resolve) => child.once('close', resolve));
    };
    const before = await signature();
    await appliance.stop('SIGKILL');
    await rm(appliance.socket, { force: true });
    await appliance.start();
    assert.equal(await signature(), before);
    await appliance.publish(generation);
    assert.equal(await signature(), before, 'what is published already is not newer');
    const tsOf = (text: string) => Number(/ts: (\d+)/.exec(text)?.[1]);
    const sealed = await sealGeneration(file('generations'), 'web', { 'extra.dtb': 5 });
    await appliance.publish(sealed);
    assert.equal(await signature(), before, 'a Pi that boots goes on with what it began with');
    await bootsAnew();
    const later = await signature();
    assert.notEqual(later.split('\n')[0], before.split('\n')[0]);
    assert.ok(tsOf(later) > tsOf(before));
    await bootOverHttp(file('netboot.pem'));
  });

  it('another key is made only when asked for, and the old one no longer verifies', async () => {
    const { stderr } = await appliance.attempt(['--config', appliance.configFile, 'keys', '--new']);
    assert.match(stderr, /flash them again/);
    await assert.rejects(bootOverHttp(file('netboot.pem')), /openssl/);
    await writeFile(file('new.pem'), `${await appliance.netboot('keys')}\n`);
    await bootOverHttp(file('new.pem'));
  });

  it('it goes where the interface’s address goes', async () => {
    const move = async (from: string, to: string) => {
      await appliance.inRack('ip', 'address', 'delete', `${from}/24`, 'dev', 'br0');
      await appliance.inRack('ip', 'address', 'add', `${to}/24`, 'dev', 'br0');
      const asked = `http://${to}/${SERIAL}/config.txt`;
      await eventually(30_000, () => host.run('curl', '-sS', '-f', '--max-time', '2', asked));
    };
    await move(SERVER, '192.168.172.18');
    await move('192.168.172.18', SERVER);
  });
});
