import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BOOT_TEXT,
  FILE_TIMEOUT_MS,
  FIRMWARES,
  isExpectedMiss,
  MACHINE_ID_MAGICS,
  modelOfOui,
  OUI_HINTS,
  PI_ARCHS,
  PI3_XID,
  transferLimit,
} from '../../src/boot/firmware.ts';

interface Found {
  readonly path: string;
  readonly fact: Readonly<Record<string, unknown>>;
}

/** Every fact below `value`, wherever it lies. */
function factsIn(value: unknown, path: string): Found[] {
  if (typeof value !== 'object' || value === null) return [];
  if ('confidence' in value) return [{ path, fact: value as Found['fact'] }];
  const entries = value instanceof Map ? value : new Map(Object.entries(value));
  return [...entries].flatMap(([key, each]) => factsIn(each, `${path}.${key}`));
}

const CONSTANTS = { BOOT_TEXT, MACHINE_ID_MAGICS, OUI_HINTS, PI_ARCHS, PI3_XID };
const FACTS = [
  ...FIRMWARES.flatMap((firmware) => factsIn(firmware, firmware.id)),
  ...factsIn(CONSTANTS, 'constants'),
];

test('each entry says what, where from and how sure', () => {
  assert.ok(FACTS.length > 120, `${FACTS.length} facts`);
  for (const { path, fact } of FACTS) {
    assert.notEqual(fact.value, undefined, path);
    assert.match(String(fact.source), /\w{3}/, path);
    assert.match(String(fact.confidence), /^[HML]$/, path);
  }
});

test('what may be wrong says so: nothing without a document, code or capture is called certain', () => {
  for (const { path, fact } of FACTS) {
    if (/unsourced|guess/.test(String(fact.source))) assert.equal(fact.confidence, 'L', path);
  }
});

test('each breakage names what the server does about it', () => {
  for (const { id, breakages } of FIRMWARES) {
    for (const { value, remedy, until } of breakages) {
      assert.match(remedy, /\w/, `${id}: ${value}`);
      if (until !== undefined) assert.match(until, /^20\d\d-\d\d-\d\d$/, `${id}: ${value}`);
    }
  }
});

test('the ids are unique and every prefix of a maker is one', () => {
  assert.equal(new Set(FIRMWARES.map(({ id }) => id)).size, FIRMWARES.length);
  for (const prefix of OUI_HINTS.keys()) assert.match(prefix, /^([0-9a-f]{2}:){2}[0-9a-f]{2}$/);
});

test('a prefix of the configuration goes before the known ones (checklist 7)', () => {
  assert.equal(modelOfOui('b8:27:eb'), 'pi3');
  assert.equal(modelOfOui('02:11:22'), undefined);
  assert.equal(modelOfOui('02:11:22', new Map([['02:11:22', 'pi5']])), 'pi5');
  assert.equal(modelOfOui('b8:27:eb', new Map([['b8:27:eb', 'pi4']])), 'pi4');
});

const LIMITS = [
  { name: 'without the option, Pi 3', blockSize: 512, bytes: 33_553_919, mendedBy: undefined },
  { name: 'Pi 4 before 2022-11-25', blockSize: 1024, bytes: 67_107_839, mendedBy: undefined },
  { name: 'Pi 4 and 5 before 2025-09-23', blockSize: 1468, bytes: 96_205_379, mendedBy: '2025-09-23' },
];
for (const { name, blockSize, bytes, mendedBy } of LIMITS) {
  test(`the longest file that every firmware can read in blocks of ${blockSize} bytes: ${name} (checklist 39)`, () => {
    const limit = transferLimit(blockSize);
    assert.deepEqual([limit?.value, limit?.mendedBy], [bytes, mendedBy]);
    // The last block has to be a short one, and no later than the 65535th.
    assert.equal(Math.floor(bytes / blockSize) + 1, 65_535);
    assert.ok(bytes % blockSize < blockSize);
  });
}

test('no Pi asks for blocks of another size, so nothing is known against them', () => {
  assert.equal(transferLimit(1428), undefined);
});

test('the firmware gives a file 30 seconds', () => assert.equal(FILE_TIMEOUT_MS, 30_000));

const MISSES = [
  'bootsig.bin',
  'e09200d8/recover4.elf',
  'e09200d8/recovery.elf',
  'bd989ae1//tryboot.txt',
  'e09200d8/vl805.sig',
  'e09200d8/pieeprom.sig',
  'e09200d8/dt-blob.bin',
  'e09200d8/bootcfg.txt',
  'e09200d8/armstub8-gic.bin',
  'bd989ae1/armstub8-2712.bin',
  'e75e2a2e/autoboot.txt',
  'e75e2a2e/recovery8.img',
];
const NEEDED = [
  'bootcode.bin',
  'start4.elf',
  'start.elf',
  'config.txt',
  'cmdline.txt',
  'kernel8.img',
  'bcm2711-rpi-4-b.dtb',
  'overlays/overlay_map.dtb',
  'fixup4.dat',
  'xrecovery.elf',
  'recovery.elf.txt',
  'recoveryXelf',
];
test('misses that belong to a working boot, and files whose miss is news (checklist 45)', () => {
  for (const name of MISSES) assert.ok(isExpectedMiss(name), name);
  for (const name of NEEDED) assert.ok(!isExpectedMiss(name), name);
});
