import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Admission } from '../../src/tftp/admission.ts';

interface Transfer {
  readonly name: string;
  readonly address: number;
  readonly isHurried: boolean;
}

/** Those with a `!` are in a hurry. */
const one = (name: string): Transfer => ({
  name,
  address: name.charCodeAt(0),
  isHurried: name.endsWith('!'),
});

/** Everyone applies in this order; those in front of the `|` run then, the others come in this order. */
function order(slots: number, names: string): string {
  const admission = new Admission<Transfer>(slots);
  const running: Transfer[] = [];
  const admit = () => {
    for (let next = admission.next(); next; next = admission.next()) running.push(next);
  };
  for (const name of names.split(' ')) {
    admission.apply(one(name));
    admit();
  }
  const said = [...running.map(({ name }) => name), '|'];
  for (let first = running.shift(); first; first = running.shift()) {
    admission.withdraw(first);
    admit();
    const last = running.at(-1);
    if (last && !said.includes(last.name)) said.push(last.name);
  }
  assert.deepEqual([admission.running, admission.waiting], [0, 0]);
  return said.join(' ');
}

test('slots go to the oldest; what is more waits', () => {
  assert.equal(order(2, 'a1 b1 c1 d1'), 'a1 b1 | c1 d1');
  assert.equal(order(10, 'a1 b1 c1'), 'a1 b1 c1 |');
});

test('a client that asks for much waits behind those that ask for little', () => {
  assert.equal(order(1, 'a1 a2 a3 a4 b1 c1 b2'), 'a1 | a2 b1 c1 a3 b2 a4');
});

test('those in a hurry go first; the others keep a quarter of the slots, and all when nobody is in a hurry', () => {
  assert.equal(order(1, 'a1 b1 c1! d1!'), 'a1 | c1! d1! b1');
  assert.equal(order(4, 'a1! b1! c1 d1 e1 f1!'), 'a1! b1! c1 f1! | d1 e1');
  assert.equal(order(4, 'a1 b1 c1 d1 e1'), 'a1 b1 c1 d1 | e1');
});

test('one without hurry gives its slot up for one in a hurry, down to a quarter of the slots', () => {
  const admission = new Admission<Transfer>(4);
  for (const name of ['a', 'b', 'c', 'd']) admission.apply(one(name));
  while (admission.next());
  for (const [hurried, given] of [
    ['e!', 'd'],
    ['f!', 'c'],
    ['g!', 'b'],
    ['h!', undefined],
  ] as const) {
    admission.apply(one(hurried));
    const surplus = admission.surplus();
    assert.equal(surplus?.name, given);
    if (!surplus) break;
    admission.withdraw(surplus);
    admission.apply(surplus);
    assert.equal(admission.next()?.name, hurried);
    assert.equal(admission.next(), undefined);
  }
});

test('whoever applies again keeps its place, and who withdraws loses it', () => {
  const admission = new Admission<Transfer>(1);
  const [a, b, c] = [one('a'), one('b'), one('c')];
  for (const transfer of [a, b, c, b, a]) admission.apply(transfer);
  assert.equal(admission.next(), a);
  admission.apply(a);
  assert.deepEqual([admission.running, admission.waiting], [1, 2]);
  admission.withdraw(b);
  admission.withdraw(a);
  assert.equal(admission.next(), c);
  assert.deepEqual([...admission.allRunning()], [c]);
});

test('a client with several slots gives one up for a client with none, and only then', () => {
  const admission = new Admission<Transfer>(3);
  const greedy = ['a1', 'a2', 'a3'].map(one);
  for (const transfer of greedy) admission.apply(transfer);
  assert.equal(admission.surplus(), undefined, 'there is a free slot');
  while (admission.next());
  assert.equal(admission.surplus(), undefined, 'nobody else waits');
  admission.apply(one('a4'));
  assert.equal(admission.surplus(), undefined, 'its own do not count');
  admission.apply(one('b1'));
  assert.equal(admission.surplus(), greedy[2], 'its newest');
});

test('property: never more than the slots, nobody is lost, and whoever waits gets a turn', () => {
  const event = fc.tuple(fc.constantFrom('apply', 'withdraw', 'next'), fc.nat(5), fc.nat(3));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(event, { maxLength: 100 }), (slots, events) => {
      const admission = new Admission<Transfer>(slots);
      const known = new Map<string, Transfer>();
      const inside = new Set<Transfer>();
      for (const [kind, client, number] of events) {
        const name = `${'abcdef'[client]}${number}${number === 0 ? '!' : ''}`;
        const transfer = known.get(name) ?? one(name);
        known.set(name, transfer);
        if (kind === 'apply') {
          admission.apply(transfer);
          inside.add(transfer);
        } else if (kind === 'withdraw') {
          admission.withdraw(transfer);
          inside.delete(transfer);
        } else admission.next();
        assert.ok(admission.running <= slots);
        assert.equal(admission.running + admission.waiting, inside.size);
      }
      for (let guard = 0; inside.size > 0; guard += 1) {
        assert.ok(guard < 200);
        while (admission.next());
        const [first] = admission.allRunning();
        assert.ok(first && inside.delete(first));
        admission.withdraw(first);
      }
    }),
    { numRuns: 300 },
  );
});

test('a client has no more than its part, however much is free, and others go past it', () => {
  const admission = new Admission<Transfer>(4, 2);
  const names = ['a1', 'a2', 'a3', 'b1'].map(one);
  for (const each of names) admission.apply(each);
  const next = () => admission.next()?.name;
  assert.deepEqual([next(), next(), next(), next()], ['a1', 'b1', 'a2', undefined]);
  admission.withdraw(names[0] as Transfer);
  assert.equal(next(), 'a3');
});
