import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type EepromQuestion, eepromConfig, modelOf } from '../../src/fleet/eeprom-config.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import type { Mac } from '../../src/net/mac.ts';
import { sampleNode } from '../boot/sample-view.ts';

const question: EepromQuestion = {
  node: sampleNode({ serial: '9ffefdef', name: 'web1' }),
  model: 'pi4',
  boot: 'http',
  server: '192.168.172.17' as Ipv4,
  httpPort: 80,
};

test('over HTTP: the address that the boot loader puts together is the node’s', () => {
  const { settings, steps } = eepromConfig(question);
  const value = (key: string) => settings.find((line) => line.startsWith(`${key}=`))?.slice(key.length + 1);
  assert.equal(value('BOOT_ORDER'), '0xf71');
  assert.deepEqual(['HTTP_HOST', 'HTTP_PORT', 'HTTP_PATH'].map(value), ['192.168.172.17', '80', '9ffefdef']);
  assert.match(steps.join('\n'), /netboot keys > netboot\.pem/);
  assert.match(steps.join('\n'), /rpi-eeprom-config .*-p netboot\.pem .*bootloader-2711/);
  // An EEPROM keeps 2 KB of it.
  assert.ok(settings.join('\n').length < 1024);
});

test('a Pi 5 has another chip; of one nobody saw, both are named', () => {
  assert.match(eepromConfig({ ...question, model: 'pi5' }).steps.join('\n'), /bootloader-2712/);
  assert.match(eepromConfig({ ...question, model: undefined }).steps.join('\n'), /2711 .*2712/);
});

test('over TFTP: by the serial, or by the node’s own prefix', () => {
  const settings = (node: EepromQuestion['node']) =>
    eepromConfig({ ...question, node, boot: 'tftp' }).settings;
  assert.deepEqual(settings(question.node), ['BOOT_ORDER=0xf21', 'NET_BOOT_MAX_RETRIES=2', 'TFTP_PREFIX=0']);
  const named = sampleNode({ serial: '9ffefdef', tftpPrefix: 'rack1/a/' });
  assert.deepEqual(settings(named).slice(2), ['TFTP_PREFIX=1', 'TFTP_PREFIX_STR=rack1/a/']);
});

test('a Pi 3 has no EEPROM: it is told what to do instead', () => {
  for (const model of ['pi3', 'pi3-rom'] as const) {
    const { settings, steps } = eepromConfig({ ...question, model });
    assert.deepEqual(settings, []);
    assert.match(steps[0] ?? '', /cannot boot over HTTP/);
    assert.match(steps.join('\n'), /program_usb_boot_mode=1/);
  }
});

test('a boot tree too large for a RAM disk is told', () => {
  const large = eepromConfig({ ...question, bootTreeBytes: 97 * 2 ** 20 });
  assert.match(large.steps.join('\n'), /97 MB.*96 MB/);
});

test('the model: what the firmware said goes before the maker’s prefix', () => {
  const mac = 'dc:a6:32:01:36:c2' as Mac;
  assert.equal(modelOf('Pi 5', mac), 'pi5');
  assert.equal(modelOf('Pi 3 (boot ROM)', undefined), 'pi3');
  assert.equal(modelOf(undefined, mac), 'pi4');
  assert.equal(modelOf(undefined, 'aa:bb:cc:00:00:01' as Mac, new Map([['aa:bb:cc', 'pi5']])), 'pi5');
  assert.equal(modelOf(undefined, undefined), undefined);
});
