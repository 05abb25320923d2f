import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { lintImages } from '../../../src/imaging/recipe/lint.ts';
import { recipeSchema } from '../../../src/imaging/recipe/schema.ts';
import { DEBIAN, imagesFolder } from './folder.ts';

const IMAGES = resolve(import.meta.dirname, '../../../images');
const readme = readFileSync(resolve(IMAGES, 'README.md'), 'utf8');
const recipe = /```yaml\n([\s\S]*?)```/.exec(readme)?.[1] ?? assert.fail('it has no recipe');

describe('images/README.md', () => {
  it('shows a recipe in which nothing is wrong', async () => {
    await using folder = await imagesFolder({
      'base/image.yaml': DEBIAN,
      'mine/image.yaml': recipe,
      'mine/hooks/10-measure.sh': '#!/bin/sh -eu\necho "$VAR_PORT"\n',
    });
    assert.deepEqual(await lintImages(folder.path, 'mine'), { images: ['mine'], findings: [] });
  });

  it('shows every key there is', () => {
    const shown = parse(recipe) as Record<string, Record<string, unknown>>;
    assert.deepEqual(Object.keys(shown).toSorted(), Object.keys(recipeSchema.shape).toSorted());
    const { units, boot } = recipeSchema.parse({ base: { from: 'base' } });
    assert.deepEqual(
      Object.keys(units).filter((key) => !(key in (shown.units ?? {}))),
      [],
    );
    assert.deepEqual(
      Object.keys(boot).filter((key) => !(key in (shown.boot ?? {}))),
      [],
    );
  });
});

describe('the images of this repository', () => {
  it('have no mistakes, and nothing to warn of', async () => {
    assert.deepEqual((await lintImages(IMAGES)).findings, []);
  });
});
