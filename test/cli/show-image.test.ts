import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { GenerationAnswer } from '../../src/api/image-routes.ts';
import { formatImages } from '../../src/cli/images.ts';
import { formatGeneration } from '../../src/cli/show-image.ts';
import { generationSchema } from '../../src/model/generation.ts';

const generation = generationSchema.parse({
  id: 'web-0123456789ab',
  image: 'web',
  arch: 'arm64',
  sealedAt: '2026-11-21T10:00:00.000Z',
  recipeKey: 'a'.repeat(64),
  root: { size: 128_400_000, sha256: 'b'.repeat(64) },
  boot: {
    kernel: 'kernel8.img',
    initramfs: 'initramfs8',
    config: ['arm_64bit=1'],
    cmdline: ['console=tty1', 'quiet'],
    files: { 'kernel8.img': { size: 9_000_000, sha256: 'c'.repeat(64) } },
  },
  roles: { web: { target: 'web.target' } },
  packages: { nginx: '1.26.3-3' },
});

describe('show-image', () => {
  it('says all that is known', () => {
    const answer: GenerationAnswer = {
      generation: {
        ...generation,
        contains: 'd'.repeat(64),
        origin: {
          by: 'alice@rack',
          seconds: 61.5,
          chain: [
            { image: 'base', recipe: '1'.repeat(64) },
            { image: 'web', recipe: '2'.repeat(64) },
          ],
          variables: { port: 80 },
          lock: 'e'.repeat(64),
        },
      },
      isPublished: true,
      nodes: ['pi-a', 'pi-b'],
      bootBytes: 9_000_000,
      has: ['log', 'lock', 'sbom', 'files'],
      fetched: { 'Pi 3B': 25_000_000, 'Pi 4B': 26_500_000 },
    };
    assert.equal(
      formatGeneration(answer),
      [
        'generation  web-0123456789ab',
        'image       web, arm64',
        'state       published; 2 nodes get it: pi-a, pi-b',
        'sealed      2026-11-21T10:00:00.000Z by alice@rack, after 61.5 s of building',
        `content     ${'d'.repeat(64)}`,
        'recipe      base 111111111111 → web 222222222222',
        'variables   port = 80',
        'root        128.4 MB',
        'boot tree   9.0 MB in 1 files',
        'per boot    Pi 3B 25.0 MB, Pi 4B 26.5 MB',
        'kernel      kernel8.img 9.0 MB, initramfs8 (missing)',
        'config.txt  arm_64bit=1',
        'cmdline.txt console=tty1 quiet',
        'roles       web → web.target',
        'packages    1',
        `lock        ${'e'.repeat(64)}`,
        'more        --log, --lock, --sbom, diff-image',
      ].join('\n'),
    );
  });

  it('leaves out what an older generation does not tell', () => {
    const text = formatGeneration({
      generation,
      isPublished: false,
      nodes: [],
      bootBytes: 9_000_000,
      has: ['log'],
    });
    assert.doesNotMatch(text, /undefined|^(content|recipe|variables|per boot|lock)/m);
    assert.match(text, /^state +not published$/m);
    assert.match(text, /^more +--log$/m);
  });
});

describe('images', () => {
  it('shows what is published first, then the older ones and why they stay', () => {
    const text = formatImages([
      {
        image: 'web',
        generation: 'web-b',
        sealedAt: '2026-11-21T10:00:00.000Z',
        rootBytes: 1000,
        bootBytes: 2000,
        roles: ['web'],
        nodes: 3,
        sealed: ['web-b', 'web-a', 'web-0'],
        others: [
          {
            id: 'web-a',
            sealedAt: '2026-11-20',
            rootBytes: 1,
            bootBytes: 2,
            kept: ['node pi-a may still run it', 'x'],
          },
          { id: 'web-0', sealedAt: '2026-11-19', rootBytes: 1, bootBytes: 2, kept: [] },
        ],
      },
      { image: 'pc', roles: [], nodes: 0, sealed: [], others: [] },
      {
        image: 'new',
        roles: [],
        nodes: 0,
        sealed: ['new-a'],
        others: [
          { id: 'new-a', sealedAt: '2026-11-19', rootBytes: 1, bootBytes: 2, kept: ['not published yet'] },
        ],
      },
    ]);
    const [, ...lines] = text.split('\n').map((line) => line.split(/ {2,}/));
    assert.deepEqual(lines, [
      ['web', 'web-b', '2026-11-21T10:00:00.000Z', '1.0 kB', '2.0 kB', 'web', '3', 'published'],
      ['', 'web-a', '2026-11-20', '1 B', '2 B', 'kept: node pi-a may still run it, and 1 more'],
      ['', 'web-0', '2026-11-19', '1 B', '2 B', 'goes with prune-images'],
      ['pc', 'not built', '-', '-', '-', '-', '0', '-'],
      ['new', 'none published', '-', '-', '-', '-', '0', '-'],
      ['', 'new-a', '2026-11-19', '1 B', '2 B', 'kept: not published yet'],
    ]);
  });
});
