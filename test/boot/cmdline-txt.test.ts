import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderCmdlineTxt } from '../../src/boot/cmdline-txt.ts';
import { machineIdOf } from '../../src/boot/machine-id.ts';
import { matchSerial, type Serial } from '../../src/net/serial.ts';
import { sampleGeneration, sampleNetwork, sampleNode } from './sample-view.ts';

const generation = sampleGeneration('web', {}, '/images/web');

test('golden: a node without a role', () => {
  const node = sampleNode({ serial: '9ffefdef', name: 'web1' });
  assert.equal(
    renderCmdlineTxt(node, generation, sampleNetwork, '/exports'),
    'console=serial0,115200 console=tty1 root=/dev/nfs ' +
      'nfsroot=192.168.172.1:/exports/images/web-0123456789ab,vers=3,nocto,acregmin=600,acregmax=3600,acdirmin=600,acdirmax=3600 ' +
      'ro ip=dhcp rootwait ' +
      'systemd.hostname=web1 systemd.machine_id=6e6574626f6f4000800000009ffefdef panic=10\n',
  );
});

test('golden: a role is switched on by its target', () => {
  const node = sampleNode({ serial: '9ffefdef', name: 'web1', role: 'web' });
  const text = renderCmdlineTxt(node, generation, sampleNetwork, '/exports');
  assert.match(text, / systemd\.unit=web-cluster-node\.target /);
});

/** What the line has beside what each has, and of its root. */
const roots: ReadonlyArray<{
  given: string;
  settings: object;
  image?: object;
  own: string;
  version?: string;
}> = [
  { given: 'nothing said', settings: {}, own: '' },
  { given: 'readonly over the image', settings: { root: 'readonly' }, image: { root: 'overlay' }, own: '' },
  {
    given: 'overlay',
    settings: { root: 'overlay' },
    own: ' netboot.root=overlay systemd.condition_needs_update=no netboot.memory=50%',
  },
  {
    given: 'overlay of the image, with a ceiling of the node',
    settings: { memory: '256M' },
    image: { root: 'overlay', memory: '1G' },
    own: ' netboot.root=overlay systemd.condition_needs_update=no netboot.memory=256M',
  },
  {
    given: 'private',
    settings: { root: 'private' },
    own: ' netboot.root=private systemd.condition_needs_update=no netboot.private=/exports/private/9ffefdef',
  },
  {
    given: 'NFS 4',
    settings: { nfs: 4 },
    own: ' nfs.nfs4_unique_id=6e6574626f6f4000800000009ffefdef',
    version: '4.1',
  },
];
for (const { given, settings, image, own, version = '3' } of roots) {
  test(`the root: ${given}`, () => {
    const node = { ...sampleNode({ serial: '9ffefdef', name: 'web1' }), ...settings };
    const sealed = image === undefined ? generation : { ...generation, node: image };
    const text = renderCmdlineTxt(node, sealed, sampleNetwork, '/exports', ['netboot.token=a.b']);
    assert.ok(
      text.endsWith(
        ` systemd.machine_id=6e6574626f6f4000800000009ffefdef${own} panic=10 netboot.token=a.b\n`,
      ),
      text,
    );
    assert.match(text, new RegExp(`,vers=${version},nocto,`));
  });
}

test('what an image says of panics holds, and not what it says of a node', () => {
  const cmdline = ['panic=-1', 'netboot.root=private', 'netboot.token=x', 'nfs.nfs4_unique_id=same'];
  const other = { ...generation, boot: { ...generation.boot, cmdline } };
  const text = renderCmdlineTxt(sampleNode({ serial: '9ffefdef' }), other, sampleNetwork, '/exports');
  assert.doesNotMatch(text, /netboot\.|unique_id|panic=10/);
  assert.match(text, /^panic=-1 root=/);
});

test('one line for a root over NFS, whatever command line the image was imported with (checklist 50, 51)', () => {
  const cmdline = [
    'console=tty1 root=PARTUUID=abcd-02',
    'rootfstype=ext4',
    'fsck.repair=yes',
    'rw',
    'resize',
    'init=/usr/lib/raspberrypi-sys-mods/firstboot',
    'nfsroot=10.0.0.1:/x,vers=4.1,proto=tcp',
    'ip=off\n',
    'quiet',
  ];
  const imported = { ...generation, boot: { ...generation.boot, cmdline } };
  const node = sampleNode({ serial: '9ffefdef', name: 'web1' });
  const text = renderCmdlineTxt(node, imported, sampleNetwork, '/exports');
  assert.equal(text.indexOf('\n'), text.length - 1, 'one line');
  const words = text.trim().split(' ');
  const of = (key: string) => words.filter((word) => word.startsWith(`${key}=`));
  assert.deepEqual(of('root'), ['root=/dev/nfs']);
  assert.match(
    of('nfsroot').join(),
    /^nfsroot=192\.168\.172\.1:\/exports\/images\/web-0123456789ab,vers=3(,|$)/,
  );
  assert.doesNotMatch(of('nfsroot').join(), /proto=|vers=4/);
  assert.deepEqual(of('ip'), ['ip=dhcp']);
  assert.doesNotMatch(text, /\binit=|resize|PARTUUID|proto=|vers=4|rootfstype| rw /);
  assert.ok(words.includes('quiet') && words.includes('console=tty1'));
});

test('a machine id is 32 hex digits in UUID v4 form, and the node’s own', () => {
  const serials = ['00000001', '9ffefdef', 'ffffffff'].map((serial) => matchSerial(serial) as Serial);
  const ids = serials.map(machineIdOf);
  for (const id of ids) assert.match(id, /^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$/);
  assert.equal(new Set(ids).size, ids.length);
});
