import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { execa } from 'execa';
import { isSigned, REPORT_KEY, type Reply, TOKEN } from './appliance.ts';
import { base64, bootedNode, file, given, IDENTITY, KEY } from './booted-node.ts';
import { NODE_TESTS, type NodeNamespace, PROGRAMS } from './node-namespace.ts';

const HOST_KEY = '/run/netboot/ssh/ssh_host_ed25519_key';

/** It has a key of its own making, and nothing to report with. */
async function assertNoIdentity(node: NodeNamespace, said: string, why: RegExp, mayStillCome = false) {
  const until = mayStillCome ? 'for now' : 'for this boot alone';
  const text = `^<3>this node has no identity from its appliance, and an SSH host key ${until}: .+$`;
  assert.match(said, new RegExp(text, 'm'));
  const nonce = await node.shell('stat -c %a:%U /run/netboot/nonce 2>&1 || true');
  assert.match(nonce, mayStillCome ? /^600:root$/ : /No such/);
  assert.match(said, why);
  assert.match(await node.shell(`ssh-keygen -lf ${HOST_KEY}`), /root@\S+ \(ED25519\)$/);
  assert.equal(await node.shell(`stat -c %a ${HOST_KEY}`), '600');
  assert.equal(
    await node.shell('ls /run/netboot/report-key 2>&1 || true').then((text) => /No such/.test(text)),
    true,
  );
}

describe('what a node has of its own', NODE_TESTS, () => {
  it('is what its appliance gave for its token, and the log holds none of it', async (context) => {
    const { appliance, node, said } = await bootedNode(context, () => given());
    const [asked] = appliance.asked;
    assert.ok(asked && isSigned(asked, TOKEN));
    assert.equal(asked.path, '/v1/identity');
    assert.match(asked.body, /^serial b4c5d6e7\nsince mabc123\nnonce [0-9a-f]{32}\n$/);
    assert.equal(asked.headers.connection, 'close');
    assert.ok(asked.port >= 600 && asked.port < 1024, `asked from ${asked.port}, as any user may`);
    assert.equal(`${await node.shell(`cat ${HOST_KEY}`)}\n`, KEY);
    assert.equal(await node.shell(`cat ${HOST_KEY}.pub`), 'ssh-ed25519 AAAAPUBLIC root@anna');
    assert.equal(await node.shell('cat /run/netboot/report-key'), `${REPORT_KEY} r1`);
    const modes = await node.shell(
      `stat -c %a:%U /run/netboot ${HOST_KEY} ${HOST_KEY}.pub /run/netboot/report-key`,
    );
    assert.deepEqual(modes.split('\n'), ['755:root', '600:root', '644:root', '600:root']);
    assert.equal(said, '');
    assert.equal(
      await node.shell('ls -A /run/netboot | sort | tr "\\n" " "'),
      'hosts report-key resolv.conf ssh ',
    );
  });

  it('stays as it is when the service is started again', async (context) => {
    const { appliance, node } = await bootedNode(context, () => given());
    await node.run('node.pl');
    assert.equal(appliance.asked.length, 1);
    assert.equal(`${await node.shell(`cat ${HOST_KEY}`)}\n`, KEY);
  });

  it('are also its names for itself and its appliance, and the name servers that DHCP told of', async (context) => {
    const lease = "DEVICE='eth0'\nIPV4DNS0='192.0.2.53'\nIPV4DNS1='0.0.0.0'\nDNSDOMAIN='lab.example'\n";
    const prelude = `printf '%s' "${lease}" >/run/net-eth0.conf`;
    const { node } = await bootedNode(context, () => given(), { prelude });
    const name = await node.shell('hostname');
    const hosts = await node.shell('cat /run/netboot/hosts');
    assert.equal(hosts, `127.0.0.1 localhost\n127.0.1.1 ${name}\n127.0.0.1 appliance`);
    assert.equal(
      await node.shell('cat /run/netboot/resolv.conf'),
      'search lab.example\nnameserver 192.0.2.53',
    );
    assert.equal(await node.shell('stat -c %a /run/netboot/hosts /run/netboot/resolv.conf | uniq'), '644');
  });

  it('comes with the same nonce when the first answer was lost', async (context) => {
    const { appliance, node } = await bootedNode(context, (_, count) =>
      count < 3 ? { body: undefined } : given(),
    );
    assert.equal(new Set(appliance.asked.map(({ body }) => body)).size, 1);
    assert.equal(appliance.asked.length, 3);
    assert.equal(`${await node.shell(`cat ${HOST_KEY}`)}\n`, KEY);
  });

  it('is not the same nonce in two boots', async (context) => {
    const nonces = [await bootedNode(context, () => given()), await bootedNode(context, () => given())].map(
      ({ appliance }) => appliance.asked[0]?.fields.nonce,
    );
    assert.notEqual(nonces[0], nonces[1]);
  });

  it('is not taken from an answer that was cut short, but asked for again', async (context) => {
    const { node } = await bootedNode(context, ({ mac }, count) =>
      count > 1 ? given() : { body: IDENTITY.slice(0, -1), key: 'another', signedFor: mac },
    );
    assert.equal(`${await node.shell(`cat ${HOST_KEY}`)}\n`, KEY);
  });

  it('is not taken from answers that others signed, or for other requests; after 20 s the boot goes on', async (context) => {
    const wrong: Reply[] = [
      { ...given(), key: 'mabc123.BBBBBBBBBBBBBBBBBBBBBB' },
      { ...given(), signedFor: '00'.repeat(32) },
      { body: IDENTITY },
    ];
    const started = performance.now();
    const { appliance, node, said } = await bootedNode(context, (_, count) => wrong[count % 3] as Reply);
    await assertNoIdentity(node, said, /the answer was not signed by our appliance/, true);
    const seconds = (performance.now() - started) / 1000;
    assert.ok(seconds > 18 && seconds < 40, `${seconds} s`);
    assert.ok(
      appliance.asked.length > 5 && appliance.asked.length < 45,
      `${appliance.asked.length} requests`,
    );
  });

  it('is asked for from a port that is free, where that is but one', async () => {
    const held = `use Appliance; my @held;
      for my $port (grep { $_ != 777 } 600 .. 1023) {
        socket my $one, 2, 1, 0 or die; bind $one, pack 'S n x12', 2, $port or die; push @held, $one;
      }
      srand 7;
      for (1 .. 30) { socket my $one, 2, 1, 0 or die; print eval { Appliance::take_root_port($one); 'got' } // $@, "\\n" }`;
    const { stdout } = await execa('unshare', ['--net', 'perl', '-w', `-I${PROGRAMS}`, '-e', held]);
    const outcomes = new Set(stdout.split('\n').filter(Boolean));
    assert.deepEqual([...outcomes].sort(), ['got', 'no port that only root has is free']);
  });

  it('is made by itself when it is refused, at once', async (context) => {
    const reason = 'token is spent\n\u001b[31mred\n';
    const { appliance, node, said } = await bootedNode(context, () => ({ status: 403, body: reason }));
    await assertNoIdentity(node, said, /: it was refused: token is spent$/m);
    assert.equal(appliance.asked.length, 1);
    assert.ok(!said.includes('\u001b'));
  });

  it('is made by itself when the command line has no token', async (context) => {
    const { appliance, node, said } = await bootedNode(context, () => given(), { token: '' });
    await assertNoIdentity(node, said, /its command line has no token/);
    assert.equal(appliance.asked.length, 0);
  });
});

describe('files of a node', NODE_TESTS, () => {
  it('go where there is memory anyway, with mode and owner', async (context) => {
    const binary = Buffer.from(Array.from({ length: 65_536 }, (_, at) => at % 251));
    const { node, said } = await bootedNode(context, () =>
      given(
        file('/srv/memory/plain', 'x', '0604 daemon adm'),
        file('/srv/memory/new/folder/binary', binary),
        file('/srv/memory/empty', ''),
      ),
    );
    assert.equal(said, '');
    assert.equal(await node.shell('stat -c %a:%U:%G /srv/memory/plain'), '604:daemon:adm');
    assert.equal(
      await node.shell(
        'stat -c %a:%U:%s /srv/memory/new/folder /srv/memory/empty | cut -d: -f1,2 | tr "\\n" " "',
      ),
      '755:root 640:root ',
    );
    assert.equal(await node.shell('base64 -w0 /srv/memory/new/folder/binary'), base64(binary));
    assert.equal(await node.shell('stat -c %s /srv/memory/empty'), '0');
    assert.equal(
      await node.shell('findmnt -nro TARGET -R /srv | sort | tr "\\n" " "'),
      '/srv /srv/identity /srv/memory ',
    );
  });

  it('take the place of a sealed file, and of it alone', async (context) => {
    const { node, said } = await bootedNode(context, () => given(file('/srv/app/settings')));
    assert.equal(said, '');
    assert.equal(await node.shell('cat /srv/app/settings'), 'of the node');
    assert.equal(await node.shell('stat -c %a /srv/app/settings'), '640');
    assert.match(await node.shell('touch /srv/app/other 2>&1 || true'), /Read-only/);
    assert.match(await node.shell('umount /srv/app/settings; cat /srv/app/settings'), /of the image/);
  });

  it('are new in a sealed folder, which keeps its owner, its mode and its other files, and is sealed again', async (context) => {
    const prelude = 'chown daemon:adm /srv/app; chmod 2750 /srv/app';
    const { node, said } = await bootedNode(
      context,
      () =>
        given(
          file('/srv/app/settings', 'two\n'),
          file('/srv/app/one', 'one\n'),
          file('/srv/app/deep/er/three', 'three\n'),
        ),
      { prelude },
    );
    assert.equal(said, '');
    assert.equal(
      await node.shell('cat /srv/app/one /srv/app/settings /srv/app/deep/er/three | tr "\\n" " "'),
      'one two three ',
    );
    assert.equal(await node.shell('stat -c %a:%U:%G /srv/app'), '2750:daemon:adm');
    assert.match(
      await node.shell('touch /srv/app/other /srv/app/deep/x 2>&1 || true'),
      /Read-only.*\n.*Read-only/,
    );
    assert.equal(await node.shell('umount /srv/app; ls /srv/app'), 'settings');
  });

  it('hide nothing that is mounted below a folder they are new in', async (context) => {
    const { node, said } = await bootedNode(context, () =>
      given(
        file('/srv/new', 'new\n'),
        file('/srv/app/settings', 'set\n'),
        file('/srv/memory/kept', 'kept\n'),
      ),
    );
    assert.equal(said, '');
    // A file, as systemd mounts /etc/machine-id.
    assert.equal(await node.shell('cat /srv/identity'), 'mounted');
    assert.equal(
      await node.shell('cat /srv/new /srv/app/settings /srv/memory/kept | tr "\\n" " "'),
      'new set kept ',
    );
    await node.shell('touch /srv/memory/still-writable');
  });

  it('fail one by one, and say so', async (context) => {
    const { node, said } = await bootedNode(context, () =>
      given(
        file('/nowhere/here'),
        file('/srv/memory'),
        file('/srv/memory/good', 'x', '0600 nobody-at-all root'),
      ),
    );
    assert.match(
      said,
      /^<3>\/nowhere\/here was not put there: the root is sealed and has no such folder; .*$/m,
    );
    assert.match(said, /^<3>\/srv\/memory was not put there: /m);
    assert.match(said, /^<3>\/srv\/memory\/good is root's: this image has no user nobody-at-all/m);
    assert.equal(await node.shell('stat -c %U:%a /srv/memory/good'), 'root:600');
    assert.equal(await node.shell('cat /run/netboot/report-key'), `${REPORT_KEY} r1`);
  });
});
