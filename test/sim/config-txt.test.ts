import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSerial } from '../../src/net/serial.ts';
import { type Board, boardOf } from '../../src/sim/board.ts';
import { parseConfigTxt } from '../../src/sim/config-txt.ts';

const serial = parseSerial('9ffefdef');
const boards = {
  '3b': boardOf({ model: 'pi3', serial, rom: '3b' }),
  '3b+': boardOf({ model: 'pi3', serial }),
  '4b': boardOf({ model: 'pi4', serial }),
  '5b': boardOf({ model: 'pi5', serial }),
} satisfies Record<Board['variant'], Board>;

const kernelOf = (text: string, variant: Board['variant']) =>
  parseConfigTxt(text, boards[variant]).settings.get('kernel');

const filters = [
  { name: 'no section counts for all', text: 'kernel=a', kernels: ['a', 'a', 'a', 'a'] },
  { name: 'a later value wins', text: 'kernel=a\nkernel=b', kernels: ['b', 'b', 'b', 'b'] },
  { name: '[pi4]', text: 'kernel=a\n[pi4]\nkernel=b', kernels: ['a', 'a', 'b', 'a'] },
  {
    name: '[pi3] is both, [pi3+] is one',
    text: '[pi3]\nkernel=a\n[pi3+]\nkernel=b',
    kernels: ['a', 'b', undefined, undefined],
  },
  {
    name: 'a second model replaces the first',
    text: '[pi4]\n[pi5]\nkernel=a',
    kernels: [undefined, undefined, undefined, 'a'],
  },
  { name: '[all] ends a filter', text: '[pi5]\nkernel=a\n[all]\nkernel=b', kernels: ['b', 'b', 'b', 'b'] },
  { name: '[none]', text: '[none]\nkernel=a', kernels: [undefined, undefined, undefined, undefined] },
  {
    name: 'model and serial add up',
    text: '[pi4]\n[0x9ffefdef]\nkernel=a',
    kernels: [undefined, undefined, 'a', undefined],
  },
  {
    name: 'another serial',
    text: '[0x12345678]\nkernel=a',
    kernels: [undefined, undefined, undefined, undefined],
  },
  { name: 'a 64-bit serial', text: '[0x100000009ffefdef]\nkernel=a', kernels: ['a', 'a', 'a', 'a'] },
  {
    name: '[board-type]',
    text: '[board-type=0x11]\nkernel=a',
    kernels: [undefined, undefined, 'a', undefined],
  },
  {
    name: '[tryboot] and [gpio4=1] are off',
    text: '[tryboot]\nkernel=a\n[all]\n[gpio4=1]\nkernel=b',
    kernels: [undefined, undefined, undefined, undefined],
  },
  {
    name: 'DOS line ends, comments, spaces',
    text: '# kernel=x\r\n  kernel = a # mine\r\n',
    kernels: ['a', 'a', 'a', 'a'],
  },
  {
    name: 'characters past the 98th are ignored',
    text: `kernel=${'a'.repeat(200)}`,
    kernels: Array(4).fill('a'.repeat(91)),
  },
];

for (const { name, text, kernels } of filters) {
  test(`config.txt: ${name}`, () => {
    const read = (['3b', '3b+', '4b', '5b'] as const).map((variant) => kernelOf(text, variant));
    assert.deepEqual(read, kernels);
  });
}

test('config.txt: initramfs is a command without an equals sign; several files go one after the other', () => {
  assert.deepEqual(parseConfigTxt('initramfs initrd.img followkernel', boards['4b']).initramfs, [
    'initrd.img',
  ]);
  assert.deepEqual(parseConfigTxt('initramfs a,b 0x00f00000', boards['4b']).initramfs, ['a', 'b']);
  assert.deepEqual(parseConfigTxt('auto_initramfs=1', boards['4b']).initramfs, []);
});

test('config.txt: overlays in order, without parameters', () => {
  const text = 'dtoverlay=disable-bt\ndtoverlay=\ndtoverlay=gpio-fan,gpiopin=14\ndtoverlay=i2c0:pins_0_1=1';
  assert.deepEqual(parseConfigTxt(text, boards['4b']).overlays, ['disable-bt', 'gpio-fan', 'i2c0']);
});

test('config.txt: an include is read in place, below the filter it stands under', () => {
  const text = 'kernel=a\n[pi4]\ninclude more.txt\n[all]\nkernel=c';
  assert.deepEqual(parseConfigTxt(text, boards['4b']).unread, ['more.txt']);
  assert.deepEqual(parseConfigTxt(text, boards['5b']).unread, []);
  const included = new Map([['more.txt', 'os_prefix=b/\n[pi5]\nos_prefix=x/']]);
  const config = parseConfigTxt(text, boards['4b'], included);
  assert.deepEqual([config.unread, config.settings.get('os_prefix')], [[], 'b/']);
  assert.equal(config.settings.get('kernel'), 'c');
});

test('config.txt: a file that includes itself comes to an end', () => {
  const loop = 'include config.txt\nkernel=a';
  const config = parseConfigTxt(loop, boards['4b'], new Map([['config.txt', loop]]));
  assert.equal(config.settings.get('kernel'), 'a');
});
