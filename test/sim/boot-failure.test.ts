import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { run } from '../../src/host/run.ts';
import { createRack, rackNamespace, removeRack } from '../../src/sim/rack.ts';
import { type SimResult, simulatePi } from '../../src/sim/simulate.ts';
import { expectedDiscover } from './discover-vectors.ts';
import {
  boot,
  bootScene,
  COMMON,
  FULL,
  MENU,
  namespacesOf,
  PI3_FILES,
  PI4_FILES,
  S,
  type Scene,
  serial,
} from './scene.ts';

/** Boots that a real Pi would not finish either, each with the reason it gives. */

const RACK = `failtest-${process.pid}`;

before(() => createRack(run, RACK, { address: '192.168.172.17/24' }));
after(() => removeRack(run, RACK));

function failure(result: SimResult & { lines: string[] }): string {
  assert.equal(result.kind, 'failed', result.lines.join('\n'));
  return result.reason;
}

test('a Pi 3B does not boot when it is not padded', async () => {
  const scene = { server: [...FULL, ...MENU], files: PI3_FILES, timeScale: 0.06 };
  assert.match(
    failure(await bootScene(RACK, { model: 'pi3', rom: '3b', ...scene })),
    /without the three spaces/,
  );
});

const failures: (Scene & { name: string; reason: RegExp })[] = [
  {
    name: 'no option 43 and no 66',
    model: 'pi4',
    server: FULL,
    files: PI4_FILES,
    timeScale: 0.03,
    reason: /within 45 s: .* no option 43 and no option 66 \(DHCP_TIMEOUT/,
  },
  {
    name: 'TFTP is silent',
    model: 'pi4',
    server: [...FULL, '--dhcp-option=66,192.168.172.99'],
    files: PI4_FILES,
    timeScale: 0.03,
    reason: /9ffefdef\/start4\.elf from 192\.168\.172\.99 failed: no answer in 30 s/,
  },
  {
    name: 'no start4.elf',
    model: 'pi4',
    server: [...FULL, ...MENU],
    files: COMMON,
    reason: /no start4\.elf, neither below 9ffefdef\//,
  },
  { name: 'no config.txt', model: 'pi5', server: [...FULL, ...MENU], files: {}, reason: /no config\.txt/ },
  {
    name: 'no device tree',
    model: 'pi5',
    server: [...FULL, ...MENU],
    files: COMMON,
    reason: /no device tree for a Pi 5 .*os_check/,
  },
  {
    name: 'no kernel',
    model: 'pi4',
    server: [...FULL, ...MENU],
    files: { ...PI4_FILES, [`${S}/pi4.txt`]: 'kernel=other' },
    reason: /no kernel other \(error 1/,
  },
  {
    name: 'no cmdline.txt',
    model: 'pi4',
    server: [...FULL, ...MENU],
    files: { ...PI4_FILES, [`${S}/config.txt`]: 'cmdline=absent.txt' },
    reason: /no absent\.txt/,
  },
  {
    name: 'a server that has recovery.elf',
    model: 'pi4',
    server: [...FULL, ...MENU],
    files: { ...PI4_FILES, [`${S}/recovery.elf`]: 'x' },
    reason: /starts that in place of start4\.elf/,
  },
  {
    name: 'no bootcode.bin',
    model: 'pi3',
    server: [...FULL, ...MENU],
    files: COMMON,
    reason: /no bootcode\.bin .* without the serial number/,
  },
  {
    name: 'a 64-bit kernel without arm_64bit=1',
    model: 'pi3',
    server: [...FULL, ...MENU],
    files: {
      ...PI3_FILES,
      [`${S}/config.txt`]: 'kernel=vmlinuz',
      [`${S}/vmlinuz`]: `${'\0'.repeat(0x38)}ARM\x64`,
    },
    reason: /64-bit kernel, but without arm_64bit=1/,
  },
];
for (const { name, reason, ...scene } of failures) {
  test(`a ${scene.model} does not boot: ${name}`, async () => {
    assert.match(failure(await bootScene(RACK, scene)), reason);
  });
}

test('nobody answers; the DISCOVER comes from 0.0.0.0:68, bit for bit', async () => {
  const script = `require('node:dgram').createSocket('udp4').bind(67).on('message', (bytes, from) => {
    console.log(from.address, from.port, bytes.toString('hex')); process.exit() })`;
  const heard = run('ip', ['netns', 'exec', rackNamespace(RACK), process.execPath, '-e', script], {
    timeoutMs: 10_000,
  });
  await new Promise((resolve) => setTimeout(resolve, 500));
  const result = await boot(RACK, { model: 'pi3', rom: '3b', timeScale: 0.05 });
  assert.match(
    failure(result),
    /within 25 s: no DHCP server answered \(it stays dead until its power is cycled\)/,
  );
  assert.equal(await heard, `0.0.0.0 68 ${expectedDiscover.rom3b}`);
});

test('pulling the plug ends everything', async () => {
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 700);
  const print = () => {};
  const pending = simulatePi({
    run,
    rack: RACK,
    boot: false,
    serial,
    model: 'pi4',
    print,
    signal: stop.signal,
  });
  await assert.rejects(pending, /was stopped/);
  assert.deepEqual(await namespacesOf(`${rackNamespace(RACK)}-${serial}`), []);
});
