import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AddressSet } from '../../src/net/address-set.ts';
import { ipv4FromNumber } from '../../src/net/ipv4.ts';

test('a set of addresses names the absent ones as a plain set does', () => {
  const base = 0xc0a8_ac00;
  const number = fc.integer({ min: base, max: base + 200 });
  const change = fc.tuple(fc.constantFrom('add' as const, 'delete' as const), number);
  fc.assert(
    fc.property(fc.array(change, { maxLength: 300 }), number, number, (changes, first, last) => {
      const [addresses, plain] = [new AddressSet(), new Set<number>()];
      for (const [verb, value] of changes) {
        addresses[verb](ipv4FromNumber(value));
        plain[verb](value);
      }
      const expected: string[] = [];
      for (let value = first; value <= last; value++)
        if (!plain.has(value)) expected.push(ipv4FromNumber(value));
      assert.deepEqual([...addresses.absent(first, last)], expected);
    }),
  );
});

test('the highest address is one of its own', () => {
  const addresses = new AddressSet();
  addresses.add(ipv4FromNumber(0xffffffff));
  assert.deepEqual([...addresses.absent(0xfffffffe, 0xffffffff)], ['255.255.255.254']);
});
