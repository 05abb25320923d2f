import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faultOfRoot, privateExportPath, ROOT_DEFAULTS, settleRoot } from '../../src/model/root-mode.ts';
import { matchSerial, type Serial } from '../../src/net/serial.ts';
import { sampleGeneration } from '../boot/sample-view.ts';

const serial = matchSerial('9ffefdef') as Serial;
const node = { serial, name: 'web1' };

test('a node’s own word counts, then its image’s, then the default', () => {
  assert.deepEqual(settleRoot({}, undefined), ROOT_DEFAULTS);
  const settled = settleRoot({ memory: '1G', nfs: 3 }, { root: 'overlay', memory: '2G', nfs: 4 });
  assert.deepEqual(settled, { root: 'overlay', memory: '1G', disk: '2G', nfs: 3 });
});

test('each node has a folder of its own', () => {
  assert.equal(privateExportPath('/exports', serial), '/exports/private/9ffefdef');
});

const cases: ReadonlyArray<{
  given: string;
  wants: Parameters<typeof settleRoot>[0];
  of: 'new' | 'old' | 'bare';
  image?: Parameters<typeof settleRoot>[1];
  fault?: RegExp;
}> = [
  { given: 'readonly, of any generation', wants: {}, of: 'old' },
  { given: 'readonly without an initramfs', wants: {}, of: 'bare' },
  { given: 'NFS 4 by the kernel itself', wants: { nfs: 4 }, of: 'bare' },
  { given: 'an overlay of a generation that can', wants: { root: 'overlay' }, of: 'new' },
  { given: 'private over NFS 4', wants: { root: 'private', nfs: 4 }, of: 'new' },
  {
    given: 'an overlay of an old generation',
    wants: { root: 'overlay' },
    of: 'old',
    fault:
      /^generation web-0123456789ab was built before there was root overlay, which node web1 is to have: netboot build-image web, or netboot set-node 9ffefdef --root readonly$/,
  },
  {
    given: 'NFS 4 of an old generation',
    wants: { nfs: 4 },
    of: 'old',
    fault: /before there was NFS 4, .* --nfs 3$/,
  },
  {
    given: 'private without an initramfs, as the image has it',
    wants: {},
    image: { root: 'private' },
    of: 'bare',
    fault: /^root private of node web1 needs an initramfs, and image web has none: .* --root readonly$/,
  },
];
for (const { given, wants, of, image, fault } of cases) {
  test(`${given}: ${fault ? 'refused, with the remedy' : 'can be'}`, () => {
    const { initramfs: _, ...bare } = sampleGeneration('web', {}, '/').boot;
    const generation = {
      ...sampleGeneration('web', {}, '/'),
      ...(of === 'new' ? { provides: ['root-modes'] } : {}),
      ...(of === 'bare' ? { boot: bare } : {}),
      ...(image ? { node: image } : {}),
    };
    const said = faultOfRoot({ ...node, ...wants }, generation);
    if (fault) assert.match(said ?? '', fault);
    else assert.equal(said, undefined);
  });
}
