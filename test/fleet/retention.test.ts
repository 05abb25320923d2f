import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { BootRecord } from '../../src/fleet/boots.ts';
import { mayGo, type RetentionFacts, retain } from '../../src/fleet/retention.ts';
import { parseSerial } from '../../src/net/serial.ts';

const PI = parseSerial('9ffefdef');
const STRANGER = parseSerial('9ffefd00');
const DAY = 24 * 60 * 60_000;
const NOW = 100 * DAY;

const generation = (name: string, day: number, image = 'web') => ({
  id: name,
  image,
  sealedAt: new Date(day * DAY).toISOString(),
});
const boot = (id: string, fields: Partial<BootRecord> = {}): BootRecord => ({
  ...{ serial: PI, generation: id, since: NOW - DAY, first: 'config.txt', gotKernel: true },
  ...fields,
});

const WEB = ['a', 'b', 'c', 'd', 'e'].map((name, day) => generation(name, day));
const FACTS: RetentionFacts = {
  generations: WEB,
  published: new Map([['web', 'e']]),
  history: new Map([['web', ['d', 'c', 'b', 'a']]]),
  boots: [],
  pinned: new Set(),
  retired: new Set(),
  nodeName: (serial) => (serial === PI ? 'pi-1' : undefined),
  keep: 2,
  now: NOW,
};

describe('what is kept of an image', () => {
  const cases: Array<{ given: string; facts: Partial<RetentionFacts>; goes: string }> = [
    { given: 'the published one and as many before it as are wanted', facts: {}, goes: 'ab' },
    {
      given: 'after a rollback what was published last before it, however new',
      facts: { published: new Map([['web', 'b']]), history: new Map([['web', ['e', 'd', 'c', 'a']]]) },
      goes: 'ac',
    },
    { given: 'what a node booted', facts: { boots: [boot('a')] }, goes: 'b' },
    {
      given: 'what a node may run that has not its next kernel',
      facts: { boots: [boot('e', { before: 'b', gotKernel: false })] },
      goes: 'a',
    },
    { given: 'what a node falls back to', facts: { boots: [boot('e', { good: 'a' })] }, goes: 'b' },
    {
      given: 'what a rollout needs',
      facts: { held: new Map([['a', ['rollout web.1 moves nodes to it']]]) },
      goes: 'b',
    },
    { given: 'what a machine boots now', facts: { pinned: new Set(['a']) }, goes: 'b' },
    {
      given: 'what a stranger booted this month',
      facts: { boots: [boot('a', { serial: STRANGER })] },
      goes: 'b',
    },
    {
      given: 'not what a stranger booted long ago',
      facts: { boots: [boot('a', { serial: STRANGER, since: NOW - 31 * DAY })] },
      goes: 'ab',
    },
    {
      given: 'what was sealed since and never published',
      facts: { generations: [...WEB, generation('f', 9)] },
      goes: 'ab',
    },
    {
      given: 'not what was sealed before and never published',
      facts: { generations: [...WEB, generation('f', 0)] },
      goes: 'abf',
    },
    {
      given: 'as many of an image that stands for none',
      facts: { generations: [1, 2, 3].map((day) => generation(`x${day}`, day, 'db')) },
      goes: 'x1',
    },
    {
      given: 'gone ones do not count as kept',
      facts: { generations: WEB.filter(({ id }) => id !== 'd') },
      goes: 'a',
    },
    { given: 'not what somebody had begun to delete', facts: { retired: new Set(['d']) }, goes: 'ad' },
    {
      given: 'of each image its own',
      facts: {
        generations: [...WEB, generation('x', 1, 'db')],
        published: new Map([
          ['web', 'e'],
          ['db', 'x'],
        ]),
      },
      goes: 'ab',
    },
  ];
  for (const { given, facts, goes } of cases) {
    it(given, () => {
      const verdicts = retain({ ...FACTS, ...facts });
      assert.equal(
        verdicts
          .filter(mayGo)
          .map(({ id }) => id)
          .join(''),
        goes,
      );
    });
  }

  it('is told with who uses it', () => {
    const verdicts = retain({ ...FACTS, boots: [boot('a'), boot('e', { serial: STRANGER, before: 'b' })] });
    const users = Object.fromEntries(verdicts.map(({ id, users }) => [id, users]));
    assert.match(users.a?.[0] ?? '', /^node pi-1 booted it at 1970-04-10/);
    assert.match(users.b?.[0] ?? '', /^machine 9ffefd00, which is no node, may still run it/);
    assert.equal(users.e?.[0], 'image web stands for it');
    assert.equal(verdicts.find(({ id }) => id === 'd')?.reserve, 'to fall back to');
  });
});
