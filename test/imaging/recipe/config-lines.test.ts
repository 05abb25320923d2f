import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mergeConfigLines } from '../../../src/imaging/recipe/config-lines.ts';

const cases: readonly { given: string; images: string[][]; expect: string[] }[] = [
  { given: 'nothing', images: [], expect: [] },
  {
    given: 'one image',
    images: [['a=1', '[pi4]', 'b=1', '[all]', 'c=1']],
    expect: ['a=1', '[pi4]', 'b=1', '[all]', 'c=1'],
  },
  {
    given: 'the same line in both',
    images: [['dtoverlay=x'], ['dtoverlay=x', 'b=1']],
    expect: ['dtoverlay=x', 'b=1'],
  },
  {
    given: 'the same line for another model',
    images: [['a=1'], ['[pi4]', 'a=1']],
    expect: ['a=1', '[pi4]', 'a=1'],
  },
  {
    given: 'a filter left open',
    images: [['[pi4]', 'a=1'], ['b=1']],
    expect: ['[pi4]', 'a=1', '[all]', 'b=1'],
  },
  {
    given: 'the same filter again',
    images: [
      ['[pi4]', 'a=1'],
      ['[pi4]', 'a=1', 'b=1'],
    ],
    expect: ['[pi4]', 'a=1', 'b=1'],
  },
  {
    given: 'filters that hold together',
    images: [['[pi4]', 'a=1', '[HDMI:0]', 'b=1']],
    expect: ['[pi4]', 'a=1', '[HDMI:0]', 'b=1'],
  },
  {
    given: 'filters of two images',
    images: [
      ['[pi4]', 'a=1'],
      ['[pi5]', 'a=1'],
    ],
    expect: ['[pi4]', 'a=1', '[all]', '[pi5]', 'a=1'],
  },
  { given: 'a filter of nothing', images: [['[pi4]', '[all]', 'a=1']], expect: ['a=1'] },
];

describe('mergeConfigLines', () => {
  for (const { given, images, expect } of cases) {
    it(given, () => assert.deepEqual(mergeConfigLines(images), expect));
  }
});
