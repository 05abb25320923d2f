import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { recipeJsonSchema } from '../../../src/imaging/recipe/json-schema.ts';

const IMAGES = resolve(import.meta.dirname, '../../../images');

describe('images/image.schema.json', () => {
  it('is what the schema says today', () => {
    const written: unknown = JSON.parse(readFileSync(join(IMAGES, 'image.schema.json'), 'utf8'));
    const remedy = 'run: scripts/netboot lint-image --print-schema >images/image.schema.json; npm run format';
    assert.deepEqual(written, JSON.parse(JSON.stringify(recipeJsonSchema())), remedy);
  });

  it('is named by every recipe, for editors', () => {
    const names = readdirSync(IMAGES, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    for (const { name } of names) {
      const [first] = readFileSync(join(IMAGES, name, 'image.yaml'), 'utf8').split('\n');
      assert.equal(first, '# yaml-language-server: $schema=../image.schema.json', name);
    }
  });

  it('says of each key at the top what it is for', () => {
    const { properties } = recipeJsonSchema() as { properties: Record<string, { description?: string }> };
    for (const [key, { description }] of Object.entries(properties)) assert.ok(description, key);
  });
});
