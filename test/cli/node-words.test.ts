import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { NodeStatus } from '../../src/api/schemas.ts';
import { formatNode } from '../../src/cli/node-format.ts';
import { formatNodes, sumUp } from '../../src/cli/node-table.ts';
import { durationWords, generationWords, stateWords } from '../../src/cli/node-words.ts';
import { throttlingWords } from '../../src/model/throttled.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const NODE: NodeStatus = {
  serial: '9ffefdef',
  name: 'one',
  state: 'up',
  since: '2026-01-01T11:56:30Z',
  image: 'web',
  isImageBuilt: true,
  address: '10.0.0.21',
  runs: 'web-00000000000a',
  generation: 'web-00000000000a',
};

describe('a state in words', () => {
  const cases: Array<{ given: Partial<NodeStatus>; expect: string }> = [
    { given: {}, expect: 'up' },
    {
      given: { state: 'loading', bytes: 4_200_000, ofBytes: 14_000_000 },
      expect: 'loading 4.2 MB of 14.0 MB',
    },
    { given: { state: 'loading', bytes: 0 }, expect: 'loading 0 B' },
    {
      given: { state: 'unhealthy', detail: 'nginx.service failed' },
      expect: 'unhealthy: nginx.service failed',
    },
    {
      given: { state: 'unhealthy', detail: 'stopped loading at kernel8.img', bytes: 1 },
      expect: 'unhealthy: stopped loading at kernel8.img',
    },
    { given: { state: 'off', isImageBuilt: false }, expect: 'off (image not built)' },
    { given: { state: 'unhealthy', detail: '\x1b[2Jgone\n' }, expect: 'unhealthy: gone' },
  ];
  for (const { given, expect } of cases)
    it(expect, () => assert.equal(stateWords({ ...NODE, ...given }), expect));
});

it('shows what a node runs, and what it is to boot only where that differs', () => {
  const shown = (fields: Partial<NodeStatus>) => generationWords({ ...NODE, ...fields });
  assert.equal(shown({}), 'web-00000000000a');
  assert.equal(shown({ generation: 'web-00000000000b' }), 'web-00000000000a → web-00000000000b');
  assert.equal(shown({ runs: undefined }), '→ web-00000000000a');
  assert.equal(
    shown({ generation: 'web-00000000000b', fallsBackTo: 'web-00000000000a' }),
    'web-00000000000a',
  );
  assert.equal(shown({ runs: undefined, generation: undefined }), undefined);
});

it('tells spans of time by one unit', () => {
  assert.deepEqual([0, 119, 120, 7199, 7200, 172_799, 172_800].map(durationWords), [
    '0 s',
    '119 s',
    '2 min',
    '119 min',
    '2 h',
    '47 h',
    '2 d',
  ]);
});

it('tells the bits of get_throttled: what is now, and what has been', () => {
  assert.deepEqual(throttlingWords(0), []);
  assert.deepEqual(throttlingWords(0x50005), ['its voltage is too low', 'it is throttled']);
  assert.deepEqual(throttlingWords(0x50000), ['its voltage has been too low', 'it has been throttled']);
  assert.deepEqual(throttlingWords(0xa0008), [
    'it is at its soft temperature limit',
    'its frequency has been capped',
  ]);
});

it('lists a node a line, and below them the machines that wait', () => {
  const waiting = {
    mac: 'dc:a6:32:01:36:c2',
    machine: 'Pi 4',
    interface: 'eth0',
    lastSeen: '2026-01-01T11:59:59Z',
  };
  assert.deepEqual(formatNodes({ nodes: [NODE], waiting: [waiting] }, NOW).split('\n'), [
    'SERIAL             NAME  STATE          SINCE  ADDRESS    IMAGE  ROLE  GENERATION',
    '9ffefdef           one   up             3 min  10.0.0.21  web    -     web-00000000000a',
    'dc:a6:32:01:36:c2  -     waiting: Pi 4  1 s    -          -      -     -',
  ]);
  const long = { ...NODE, state: 'unhealthy' as const, detail: 'x'.repeat(500) };
  assert.ok(
    formatNodes({ nodes: [long], waiting: [] }, NOW)
      .split('\n')
      .every(({ length }) => length < 160),
  );
});

it('sums up a rack by state', () => {
  const nodes = (['up', 'silent', 'up'] as const).map((state) => ({ ...NODE, state }));
  assert.equal(sumUp(nodes), '3 nodes: 2 up, 1 silent');
  assert.equal(sumUp([]), '0 nodes: none');
});

it('shows all that a node told of itself, with its age, and where its clock is', () => {
  const text = formatNode(
    {
      ...NODE,
      state: 'unhealthy',
      detail: 'nginx.service failed',
      report: {
        at: '2026-01-01T11:59:20Z',
        generation: 'web-00000000000a',
        root: 'private',
        uptime: 7300,
        clockOffset: -1_767_268_000,
        state: 'degraded',
        failed: ['nginx.service'],
        target: 'web.target',
        memory: { total: 4e9, available: 3.1e9 },
        temperature: 61.25,
        throttled: 0x50000,
        throttling: throttlingWords(0x50000),
        disk: { total: 2e9, available: 0 },
      },
    },
    NOW,
  );
  assert.deepEqual(text.split('\n').slice(2), [
    'state       unhealthy: nginx.service failed  (for 3 min, since 2026-01-01T11:56:30Z)',
    'image       web',
    'address     10.0.0.21',
    'runs        web-00000000000a',
    'generation  web-00000000000a',
    'report      40 s ago: degraded',
    '  runs        web-00000000000a, root private',
    '  uptime      2 h',
    '  target      web.target',
    '  failed      nginx.service',
    '  memory      3.1 GB free of 4.0 GB',
    '  disk        0 B free of 2.0 GB',
    '  temperature 61.3 °C',
    '  throttled   its voltage has been too low, it has been throttled',
    '  clock       20454 d behind',
  ]);
});
