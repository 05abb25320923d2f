import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { REPORT_KEY, ToldAppliance } from './appliance.ts';
import { bootedNode, file, given } from './booted-node.ts';
import { NODE_TESTS, NodeNamespace } from './node-namespace.ts';

/** The root is the disk with the sealed root below it; here that is /srv, and what a node remembers lies beside it. */
const DISK_OF_ITS_OWN = [
  'mkdir -p /run/netboot/lower "$1/lib"',
  'mount --bind "$1/lib" /var/lib',
  'mkdir /var/lib/netboot',
].join('\n');
const PRIVATE = ['netboot.root=private', 'netboot.private=/exports/private/b4c5d6e7'];

describe('what a node is no longer given', NODE_TESTS, () => {
  it('goes from a disk of its own, and what the image has comes back', async (context) => {
    const prelude = [
      DISK_OF_ITS_OWN,
      'mkdir -p /run/netboot/lower/srv/memory',
      'echo of the next image >/run/netboot/lower/srv/memory/settings',
      'chmod 604 /run/netboot/lower/srv/memory/settings',
      'mount -t tmpfs memory /srv/memory',
      'for name in settings stale kept; do echo old >/srv/memory/$name; echo /srv/memory/$name; done >/var/lib/netboot/placed',
    ].join('\n');
    const { node, said } = await bootedNode(
      context,
      () => given(file('/srv/memory/kept', 'new\n'), file('/srv/memory/more', 'more\n')),
      {
        prelude,
        words: PRIVATE,
      },
    );
    assert.equal(said, '');
    assert.equal(
      await node.shell('cd /srv/memory; ls | tr "\\n" " "; cat kept settings'),
      'kept more settings new\nof the next image',
    );
    assert.equal(await node.shell('stat -c %a /srv/memory/settings'), '604');
    const placed = '/srv/memory/kept\n/srv/memory/more\n/srv/memory/settings';
    assert.equal(await node.shell('cat /var/lib/netboot/placed'), placed);
  });

  it('is what the image has again, also where there is no room to record it', async (context) => {
    const prelude = [
      DISK_OF_ITS_OWN,
      'mkdir -p /run/netboot/lower/srv/memory',
      'echo of the image >/run/netboot/lower/srv/memory/settings',
      'mount -t tmpfs memory /srv/memory',
      'echo of the node >/srv/memory/settings',
      'mount -t tmpfs -o size=16k memory /var/lib/netboot',
      'echo /srv/memory/settings >/var/lib/netboot/placed',
      'dd if=/dev/zero of=/var/lib/netboot/full bs=4k 2>/dev/null || true',
    ].join('\n');
    const { node, said } = await bootedNode(context, () => given(), { prelude, words: PRIVATE });
    assert.match(said, /^<3>what is put onto this disk is not recorded: /m);
    assert.equal(await node.shell('cat /srv/memory/settings'), 'of the image');
    assert.equal(await node.shell('cat /var/lib/netboot/placed'), '/srv/memory/settings');
  });

  it('is not half of what the image has, where there is no room for all of it', async (context) => {
    const prelude = [
      DISK_OF_ITS_OWN,
      'mkdir -p /run/netboot/lower/srv/memory',
      'mount -t tmpfs -o size=64k memory /srv/memory',
      'head -c 100000 /dev/zero >/run/netboot/lower/srv/memory/settings',
      'echo of the node >/srv/memory/settings',
      'echo /srv/memory/settings >/var/lib/netboot/placed',
    ].join('\n');
    const { node, said } = await bootedNode(context, () => given(), { prelude, words: PRIVATE });
    assert.match(said, /^<3>\/srv\/memory\/settings of the image did not come back; /m);
    assert.equal(await node.shell('ls -A /srv/memory'), '');
    assert.equal(
      await node.shell('cat /var/lib/netboot/placed'),
      '/srv/memory/settings',
      'it is tried again',
    );
  });

  it('goes from a disk that is full', async (context) => {
    const prelude = [
      DISK_OF_ITS_OWN,
      'mount -t tmpfs -o size=16k memory /srv/memory',
      'mkdir /srv/memory/netboot',
      'mount --bind /srv/memory/netboot /var/lib/netboot',
      'echo secret >/srv/memory/secret',
      'echo /srv/memory/secret >/var/lib/netboot/placed',
      'ln /srv/memory/secret /srv/memory/other', // so that its going makes no room
      'dd if=/dev/zero of=/srv/memory/full bs=4k 2>/dev/null || true',
    ].join('\n');
    const reply = given(file('/srv/memory/new', 'new\n'));
    const { node, said } = await bootedNode(context, () => reply, { prelude, words: PRIVATE });
    assert.match(said, /^<3>what is put onto this disk is not recorded: .*No space left/m);
    assert.match(await node.shell('ls /srv/memory/secret 2>&1 || true'), /No such file/);
  });

  it('is complained of where it cannot go, and asked to go at each boot', async (context) => {
    const prelude = [
      DISK_OF_ITS_OWN,
      'mount -t tmpfs memory /srv/memory',
      'echo secret >/srv/memory/secret',
      'mount -o remount,bind,ro /srv/memory',
      'printf "/srv/memory/secret\\n/srv/memory/never\\n" >/var/lib/netboot/placed',
    ].join('\n');
    const { node, said } = await bootedNode(context, () => given(), { prelude, words: PRIVATE });
    assert.match(
      said,
      /^<3>\/srv\/memory\/secret of an earlier boot is still there, .*: Read-only file system$/m,
    );
    assert.doesNotMatch(said, /never/);
    assert.equal(await node.shell('cat /var/lib/netboot/placed'), '/srv/memory/secret');
  });
});

/** On a disk of its own: a user's folder as he left it, and one of root's beside it. */
const USERS_FOLDER = [
  DISK_OF_ITS_OWN,
  'mount -t tmpfs -o mode=755 memory /srv/memory',
  'cd /srv/memory; mkdir home roots; chown daemon home; echo of root >roots/keys',
  'ln -s /srv/memory/roots home/.ssh; chown -h daemon home/.ssh',
  'cd /',
].join('\n');

describe('a link that a user left in his folder', NODE_TESTS, () => {
  it('leads nothing of a node to where only root may write', async (context) => {
    const { node, said } = await bootedNode(
      context,
      () =>
        given(
          file('/srv/memory/home/.ssh/authorized_keys'),
          file('/srv/memory/home/.ssh/new/keys'),
          file('/srv/memory/home/mine'),
        ),
      { prelude: USERS_FOLDER, words: PRIVATE },
    );
    for (const name of ['authorized_keys', 'new/keys'])
      assert.match(
        said,
        new RegExp(
          `^<3>/srv/memory/home/.ssh/${name} was not put there: /srv/memory/home/.ssh is a link, `,
          'm',
        ),
      );
    assert.equal(
      await node.shell('cd /srv/memory; ls roots; cat roots/keys home/mine'),
      'keys\nof root\nof the node',
    );
  });

  it('takes nothing away there, and brings nothing of the image there', async (context) => {
    const prelude = [
      USERS_FOLDER,
      'mkdir -p /run/netboot/lower/srv/memory/home/.ssh',
      'cd /run/netboot/lower/srv/memory/home; for name in .ssh/keys .ssh/more settings; do echo of the image >$name; done; cd /',
      'ln -s /srv/memory/roots/keys /srv/memory/home/settings.netboot-new',
      'for name in .ssh/keys .ssh/more settings; do echo /srv/memory/home/$name; done >/var/lib/netboot/placed',
    ].join('\n');
    const { node, said } = await bootedNode(context, () => given(), { prelude, words: PRIVATE });
    assert.match(
      said,
      /^<3>\/srv\/memory\/home\/\.ssh\/keys of an earlier boot is still there, .* is a link, /m,
    );
    assert.equal(
      await node.shell('cd /srv/memory; ls roots; cat roots/keys home/settings'),
      'keys\nof root\nof the image',
    );
  });

  it('is not where a block file is mounted', async (context) => {
    const prelude = `${USERS_FOLDER}\n${MAKE_BLOCK}; mkdir -p /run/netboot/private; mount --bind "$1" /run/netboot/private`;
    const { node, said } = await bootedNode(context, () => given('block /srv/memory/home/.ssh'), {
      prelude,
      words: PRIVATE,
    });
    assert.match(said, /^<3>no file system at \/srv\/memory\/home\/\.ssh: .* is a link, /m);
    assert.equal(await node.shell('cat /srv/memory/roots/keys'), 'of root');
  });

  it('is none that root put into his own folder, as /var/run of the image', async (context) => {
    const prelude = `${USERS_FOLDER}; ln -s ../memory/./roots /srv/memory/link; ln -s /srv/memory/roots /srv/memory/home/roots`;
    const { node, said } = await bootedNode(
      context,
      () => given(file('/srv/memory/link/new/one'), file('/srv/memory/home/roots/two')),
      { prelude, words: PRIVATE },
    );
    assert.match(
      said,
      /^<3>\/srv\/memory\/home\/roots\/two was not put there: .* is a link, and not root's alone$/m,
    );
    assert.equal(await node.shell('cd /srv/memory/roots; ls; cat new/one'), 'keys\nnew\nof the node');
  });
});

const MAKE_BLOCK = 'truncate -s 16M "$1/block.ext4"; mkfs.ext4 -q "$1/block.ext4"';

describe('a block file', NODE_TESTS, () => {
  it('is mounted where the node has it, from the private folder that is there', async (context) => {
    const prelude = `${MAKE_BLOCK}; mkdir -p /run/netboot/private; mount --bind "$1" /run/netboot/private`;
    const { node, said } = await bootedNode(context, () => given('block /srv/memory/containers'), {
      prelude,
    });
    assert.equal(said, '');
    assert.equal(await node.shell('findmnt -nro FSTYPE /srv/memory/containers'), 'ext4');
    await node.shell('touch /srv/memory/containers/x; umount /srv/memory/containers');
    assert.equal(await node.shell('mountpoint -q /run/netboot/private && echo there'), 'there');
  });

  it("comes over NFS otherwise, from this node's own folder, onto a folder that the image lacks", async (context) => {
    // This machine's kernel has no NFS: in place of its helper stands one that keeps what it was told.
    const helper =
      '#!/bin/sh\necho "$*" >/run/asked\nmount --bind FOLDER "$2"\nexec mount -o remount,bind,rw "$2"\n';
    const prelude = [
      MAKE_BLOCK,
      `printf '%s' '${helper}' | sed "s,FOLDER,$1," >"$1/helper"; chmod +x "$1/helper"`,
      'mount --bind "$1/helper" /sbin/mount.nfs',
    ].join('\n');
    const { node, said } = await bootedNode(context, () => given('block /srv/containers/store'), { prelude });
    assert.equal(said, '');
    assert.equal(await node.shell('findmnt -nro FSTYPE /srv/containers/store'), 'ext4');
    assert.match(
      await node.shell('cat /run/asked'),
      /^127\.0\.0\.1:\/exports\/private\/b4c5d6e7 \/run\/netboot\/private .*-o \S*\bvers=3\b/,
    );
    await node.shell('touch /srv/containers/store/x');
    assert.match(await node.shell('mountpoint /run/netboot/private || true'), /not a mountpoint/);
  });

  it('is checked before it is mounted, as after a power cut', async (context) => {
    const dirty = 'debugfs -w -R "ssv state 0" "$1/block.ext4" 2>/dev/null'; // not unmounted in order
    const prelude = `${MAKE_BLOCK}; ${dirty}; mkdir -p /run/netboot/private; mount --bind "$1" /run/netboot/private`;
    const { node, said } = await bootedNode(context, () => given('block /srv/memory/containers'), {
      prelude,
    });
    assert.match(said, /^<6>e2fsck: .*block\.ext4.* was not cleanly unmounted, check forced/m);
    assert.equal(await node.shell('findmnt -nro FSTYPE /srv/memory/containers'), 'ext4');
    await node.shell('umount /srv/memory/containers');
  });

  it('has in it what belongs below its path', async (context) => {
    const prelude = `${MAKE_BLOCK}; mkdir -p /run/netboot/private; mount --bind "$1" /run/netboot/private`;
    const lines = [
      'block /srv/memory/containers',
      file('/srv/memory/containers/k3s/token'),
      file('/srv/app/new'),
    ];
    const { node, said } = await bootedNode(context, () => given(...lines), { prelude });
    assert.equal(said, '');
    assert.equal(
      await node.shell('cat /srv/memory/containers/k3s/token /srv/app/new'),
      'of the node\nof the node',
    );
    await node.shell('umount /srv/memory/containers');
    assert.equal(await node.shell('ls /srv/memory/containers'), '');
  });

  it('that is not there is said, and nothing else goes without', async (context) => {
    const prelude = 'mkdir -p /run/netboot/private; echo nothing >/run/netboot/private/block.ext4';
    const { node, said } = await bootedNode(
      context,
      () =>
        given('block /srv/memory/containers', file('/srv/memory/x'), file('/srv/memory/containers/token')),
      { prelude },
    );
    assert.match(
      said,
      /^<3>no file system at \/srv\/memory\/containers: it is damaged; .*: e2fsck -f \/exports\/private\/b4c5d6e7\/block\.ext4$/m,
    );
    assert.match(said, /^<3>\/srv\/memory\/containers\/token was not put there: it belongs into the file /m);
    assert.equal(await node.shell('cat /srv/memory/x; ls /srv/memory/containers'), 'of the node');
  });

  it('that takes too long to be checked keeps no node from reporting, nor its folders from being sealed', async (context) => {
    const prelude = [
      MAKE_BLOCK,
      'mkdir -p /run/netboot/private; mount --bind "$1" /run/netboot/private',
      `printf '#!/bin/sh\\necho >/run/held; for i in $(seq 300); do [ -e /run/held ] || exit 0; sleep 0.1; done' >"$1/e2fsck"`,
      'chmod +x "$1/e2fsck"',
      'mount --bind "$1/e2fsck" /usr/sbin/e2fsck',
    ].join('\n');
    const lines = ['block /srv/containers', file('/srv/app/new')];
    const appliance = await ToldAppliance.open(() => given(...lines));
    context.after(() => appliance.close());
    const node = await NodeNamespace.make({ port: appliance.port, prelude });
    context.after(() => node.remove());
    const ended = once(
      node.start('node.pl', () => {}),
      'exit',
    );
    await node.shell('for i in $(seq 200); do [ -e /run/held ] && exit; sleep 0.1; done; exit 1');
    assert.equal(await node.shell('cat /run/netboot/report-key'), `${REPORT_KEY} r1`);
    assert.match(await node.shell('ls /run/netboot/nonce 2>&1 || true'), /No such/);
    assert.equal(await node.shell('cat /srv/app/new'), 'of the node');
    for (const folder of ['/srv', '/srv/app'])
      assert.match(await node.shell(`touch ${folder}/x 2>&1 || true`), /Read-only/);
    await node.shell('rm /run/held');
    assert.deepEqual(await ended, [0, null]);
    assert.equal(await node.shell('findmnt -nro FSTYPE /srv/containers'), 'ext4');
    await node.shell('umount /srv/containers');
  });
});
