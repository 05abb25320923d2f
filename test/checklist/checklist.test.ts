import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { CHECKLIST_FILE, type Proof, proofsIn, readProofs, renderChecklist } from './proofs.ts';
import { STATEMENTS } from './statements.ts';

describe('the checklist', () => {
  const proofs = readProofs();
  const numbersOf = (list: readonly Proof[]) => new Set(list.flatMap(({ numbers }) => numbers));

  it('has 63 statements, in order', () => {
    const numbers = STATEMENTS.map(({ number }) => number);
    assert.deepEqual(
      numbers,
      Array.from({ length: 63 }, (_, index) => index + 1),
    );
  });

  it('has a proof of each, or the reason why there is none', () => {
    const proven = numbersOf(proofs);
    const open = STATEMENTS.filter(({ number, leftToHardware }) => !proven.has(number) && !leftToHardware);
    assert.deepEqual(
      open.map(({ number, says }) => `${number}: ${says}`),
      [],
    );
  });

  it('has the statement of each proof', () => {
    const known = new Set(STATEMENTS.map(({ number }) => number));
    assert.deepEqual(
      [...numbersOf(proofs)].filter((number) => !known.has(number)),
      [],
    );
  });

  it('is as the tests are: else run npm run checklist', () => {
    assert.equal(readFileSync(CHECKLIST_FILE, 'utf8'), renderChecklist(proofs));
  });
});

describe('a tag', () => {
  const cases: ReadonlyArray<{ given: string; expect: ReadonlyArray<[string, ...number[]]> }> = [
    { given: `test('one thing (checklist 7)', () => {`, expect: [['one thing', 7]] },
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the text of a program.
    { given: 'it(`${name}: two (checklist 31, 46)`, go);', expect: [['…: two', 31, 46]] },
    { given: `{ name: "it's so (checklist 1)" }`, expect: [["it's so", 1]] },
    { given: `test('no tag: checklist 7', () => {`, expect: [] },
    { given: `test('not the end (checklist 7) of it', () => {`, expect: [] },
    {
      given: `test('an\\'s (checklist 9)'); test('other (checklist 2)')`,
      expect: [
        ["an's", 9],
        ['other', 2],
      ],
    },
  ];
  for (const { given, expect } of cases) {
    it(`is read from ${given}`, () => {
      const found = proofsIn('a.test.ts', given).map(({ title, numbers }) => [title, ...numbers]);
      assert.deepEqual(found, expect);
    });
  }
});
