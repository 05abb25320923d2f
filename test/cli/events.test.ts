import assert from 'node:assert/strict';
import { it } from 'node:test';
import { formatEvent } from '../../src/cli/events.ts';

it('an event is one line, whatever a build printed', () => {
  const text = '\x1b[2Jpostinst failed:\nno space\x07';
  const step = { kind: 'build progress', image: 'web', step: 'web/packages', state: 'failed' } as const;
  assert.equal(
    formatEvent({ ...step, index: 3, of: 9, text, id: 'x-1', at: 0 }),
    '1970-01-01T00:00:00.000Z  build of web: 3/9 web/packages failed: postinst failed: no space',
  );
});
