import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Export } from '../../src/nfs/export.ts';
import { loopNumber, stableUuid } from '../../src/nfs/fingerprint.ts';
import { assignExportIds, renderGanesha } from '../../src/nfs/render-ganesha.ts';

const root: Export = {
  path: '/exports/images/web-0123456789ab',
  clients: ['192.168.172.0/24', '10.0.0.0/8'],
  options: [
    'ro',
    'sync',
    'no_root_squash',
    'no_subtree_check',
    'mp',
    'fsid=00000000-0000-0001-0000-000000000002',
  ],
};
const www: Export = {
  path: '/exports/www',
  clients: ['10.0.0.0/8'],
  options: ['rw', 'sync', 'subtree_check'],
};
const own: Export = {
  path: '/exports/private/9ffefdef',
  clients: ['10.0.0.5/32'],
  options: ['rw', 'sync', 'no_root_squash', 'subtree_check'],
  area: { epoch: 0, disks: [] },
};
const ids = new Map([
  [own.path, 9],
  [root.path, 7],
  [www.path, 8],
]);
const [, rootBlock = '', wwwBlock = '', ownBlock = ''] = renderGanesha([root, www, own], ids, '/state').split(
  'EXPORT {',
);

const facts: ReadonlyArray<{ name: string; block: string; expect: string }> = [
  { name: 'a root is read-only', block: rootBlock, expect: 'Access_Type = RO;' },
  { name: 'to the subnets', block: rootBlock, expect: 'CLIENT { Clients = 192.168.172.0/24, 10.0.0.0/8;' },
  { name: 'to nobody else', block: rootBlock, expect: '  Access_Type = None;' },
  { name: 'with the id it was given', block: rootBlock, expect: 'Export_Id = 7;' },
  { name: 'fsid is the file system id', block: rootBlock, expect: 'Filesystem_Id = 1.2;' },
  { name: 'no_root_squash', block: rootBlock, expect: 'Squash = No_Root_Squash;' },
  { name: 'root_squash is the default of exports(5)', block: wwwBlock, expect: 'Squash = Root_Squash;' },
  { name: 'web content is writable', block: wwwBlock, expect: 'Access_Type = RW;' },
  { name: 'and seen at once', block: wwwBlock, expect: 'Attr_Expiration_Time = 0;' },
  { name: 'sync', block: wwwBlock, expect: 'NFS_Commit = true;' },
  {
    name: 'a disk is one node’s',
    block: ownBlock,
    expect: 'CLIENT { Clients = 10.0.0.5/32; Access_Type = RW; }',
  },
  { name: 'as root', block: ownBlock, expect: 'Squash = No_Root_Squash;' },
  { name: 'its kernel says when to wait for the disk', block: ownBlock, expect: 'NFS_Commit = false;' },
  { name: 'a disk that grew is seen at once', block: ownBlock, expect: 'Attr_Expiration_Time = 0;' },
  { name: 'no ACL hinders an overlay', block: rootBlock, expect: 'Disable_ACL = true;' },
];
for (const { name, block, expect } of facts) test(name, () => assert.ok(block.includes(expect), block));

test('names are looked up anew: a replaced page is seen at once', () => {
  assert.match(renderGanesha([www], ids, '/state'), /^MDCACHE \{ Dir_Chunk = 0; \}$/m);
});

test('an export to nobody is left out', () => {
  assert.ok(!renderGanesha([{ ...root, clients: [] }], ids, '/state').includes('EXPORT'));
});

test('export ids are unique, in range, kept once given, and do not depend on the order', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string(), { maxLength: 50 }), fc.uniqueArray(fc.string()), (old, more) => {
      const before = assignExportIds(old, new Map());
      const after = assignExportIds([...more, ...old], before);
      for (const path of old) assert.equal(after.get(path), before.get(path));
      assert.equal(new Set(after.values()).size, after.size);
      for (const id of after.values()) assert.ok(id >= 1 && id <= 65535);
    }),
  );
});

test('two paths with one hash get two ids', () => {
  const first = assignExportIds(['/exports/www'], new Map());
  const taken = new Map([['/other', first.get('/exports/www') ?? 0]]);
  assert.equal(
    assignExportIds(['/exports/www'], taken).get('/exports/www'),
    ((taken.get('/other') ?? 0) % 65535) + 1,
  );
});

test('what file handles are made of never changes between releases', () => {
  assert.equal(stableUuid('web-0123456789ab'), 'd203e279-1c1b-8e6e-aae9-60afd9f7b354');
  assert.equal(loopNumber('/exports/images/web-0123456789ab'), 30392);
  assert.equal(assignExportIds(['/exports/www'], new Map()).get('/exports/www'), 45859);
});

test('loop devices stay within the 20 bits of a minor number', () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(8), (path, attempt) => {
      const number = loopNumber(path, attempt);
      assert.ok(number >= 0x1000 && number < 1 << 20);
      assert.notEqual(number, loopNumber(path, attempt + 1));
    }),
  );
});
