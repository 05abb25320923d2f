import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderConfigTxt } from '../../src/boot/config-txt.ts';
import { sampleGeneration, sampleNode } from './sample-view.ts';

const node = sampleNode({ serial: '9ffefdef', name: 'web1' });
const generation = sampleGeneration('web', {}, '/images/web');

test('golden: with an initramfs', () => {
  const text = renderConfigTxt(node, generation);
  assert.equal(
    text,
    `# web1 (9ffefdef), generation web-0123456789ab
arm_64bit=1
[pi4]
max_framebuffers=2
[all]
kernel=vmlinuz
initramfs initrd.img followkernel
bootloader_update=0
`,
  );
  assert.equal(renderConfigTxt(node, generation), text, 'the same bytes at every reading (checklist 49)');
});

test('golden: without an initramfs', () => {
  const { initramfs: _, ...boot } = generation.boot;
  assert.equal(
    renderConfigTxt(node, { ...generation, boot: { ...boot, config: [] } }),
    `# web1 (9ffefdef), generation web-0123456789ab
[all]
kernel=vmlinuz
bootloader_update=0
`,
  );
});
