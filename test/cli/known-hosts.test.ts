import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatKnownHost } from '../../src/cli/known-hosts.ts';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbc 9ffefdef';

test('a line of known_hosts names the node and where it is, without the comment', () => {
  assert.equal(
    formatKnownHost({ serial: '9ffefdef', name: 'first', address: '10.0.0.21', key: KEY }),
    'first,10.0.0.21 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbc',
  );
  assert.equal(
    formatKnownHost({ serial: '9ffefdef', name: 'first', key: KEY }),
    'first ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbc',
  );
});
