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
      'systemd.hostname=web1 systemd.machine_id=6e6574626f6f4000800000009ffefdef\n',
  );
});

test('golden: a role is switched on by its target', () => {
  const node = sampleNode({ serial: '9ffefdef', name: 'web1', role: 'web' });
  const text = renderCmdlineTxt(node, generation, sampleNetwork, '/exports');
  assert.match(text, / systemd\.unit=web-cluster-node\.target\n$/);
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
