import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agentOf, pathOf } from '../../src/http/request.ts';

const paths: Record<string, string | undefined> = {
  '/9ffefdef/boot.img': '/9ffefdef/boot.img',
  '/9ffefdef/boot.img?a=/b#c': '/9ffefdef/boot.img',
  'http://192.168.172.1:80/9ffefdef/boot.sig': '/9ffefdef/boot.sig',
  '/a%20b/%2e%2e/x': '/a b/../x',
  '/x%00y': '/x\0y',
  '/%zz': undefined,
  '/%ff': undefined,
  '*': undefined,
  'http://host': undefined,
  '': undefined,
};
for (const [target, expect] of Object.entries(paths))
  test(`the path of ${JSON.stringify(target)}`, () => assert.equal(pathOf(target), expect));

test('the EEPROM of a Pi tells its board (checklist 58)', () => {
  const agent = 'rpiboot/1.0 (c03115; version:5b3ad1a2 update-time:1700000000)';
  assert.deepEqual(agentOf(agent), { agent, boardRevision: 'c03115' });
  assert.deepEqual(agentOf('curl/8.5.0'), { agent: 'curl/8.5.0' });
  assert.deepEqual(agentOf(undefined), {});
  assert.equal(agentOf('x'.repeat(10_000)).agent?.length, 128);
});
