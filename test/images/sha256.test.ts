import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { it } from 'node:test';
import { NODE_TESTS, NodeNamespace } from './node-namespace.ts';

it('the hash that nodes sign with is SHA-256, for texts of any length', NODE_TESTS, async (context) => {
  const node = await NodeNamespace.make({ port: 1, prelude: 'mkdir /run/netboot' });
  context.after(() => node.remove());
  // Around the ends of blocks, and of what the program does by itself.
  const lengths = [
    0, 1, 31, 32, 54, 55, 56, 63, 64, 65, 119, 120, 128, 4_000, 65_535, 65_536, 65_537, 200_000,
  ];
  const program = `
    use Appliance;
    for (${lengths.join(', ')}) { print unpack('H*', Sha256::digest(pack 'C*', map { 7 * $_ % 256 } 1 .. $_)), "\\n" }`;
  const digests = (await node.perl(program)).split('\n');
  for (const [at, length] of lengths.entries()) {
    const text = Uint8Array.from({ length }, (_, index) => (7 * (index + 1)) % 256);
    assert.equal(digests[at], createHash('sha256').update(text).digest('hex'), `${length} bytes`);
  }
});
