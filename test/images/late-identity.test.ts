import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isSigned, REPORT_KEY, type Reply, TOKEN } from './appliance.ts';
import { NODE_TESTS } from './node-namespace.ts';
import { OK, reporting } from './reporting-node.ts';

const NONCE = '0123456789abcdef0123456789abcdef';
/** What node.pl leaves when the boot went on: for as long as that uptime is not reached. */
const waitingFor = (uptime: string) =>
  `rm /run/netboot/report-key; mkdir /run/netboot/ssh; echo meantime >/run/netboot/ssh/ssh_host_ed25519_key
   echo "${NONCE} ${uptime}" >/run/netboot/nonce`;
const IDENTITY: Reply = {
  body: [
    `report-key ${REPORT_KEY}`,
    'run r1',
    `host-key ${btoa('REAL\n')}`,
    'host-key-public ssh-ed25519 AAAA',
    `file 0600 root root /srv/memory/secret ${btoa('secret\n')}`,
    '',
  ].join('\n'),
  key: TOKEN,
};

describe('a node whose boot found no appliance', NODE_TESTS, () => {
  const prelude = waitingFor('1e9');

  it('has its identity as soon as there is one, and reports from then on', async (context) => {
    const node = await reporting(
      context,
      ({ path }, count) => (count < 3 ? { body: undefined } : path === '/v1/identity' ? IDENTITY : OK),
      { prelude, state: 'running' },
    );
    const report = await node.report(4);
    assert.ok(report.path === '/v1/report' && isSigned(report, REPORT_KEY));
    assert.deepEqual(
      node.appliance.asked.slice(0, 3).map((asked) => [asked.path, asked.fields.nonce, asked.port < 1024]),
      Array.from({ length: 3 }, () => ['/v1/identity', NONCE, true]),
    );
    const read = (path: string) => node.node.shell(`cat ${path}`);
    assert.equal(await read('/run/netboot/ssh/ssh_host_ed25519_key'), 'REAL');
    assert.equal(await read('/srv/memory/secret'), 'secret');
    assert.match(await read('/run/told'), /^--no-block try-restart ssh\.service$/m);
    assert.match(await node.node.shell('ls /run/netboot/nonce 2>&1 || true'), /No such file/);
    assert.match(node.said(), /^<6>this node has its identity; /m);
  });

  it('that is stopped while it takes what it was given takes all of it first', async (context) => {
    const checking = [
      'truncate -s 16M "$1/block.ext4"; mkfs.ext4 -q "$1/block.ext4"',
      'mkdir /run/netboot/private; mount --bind "$1" /run/netboot/private',
      `printf '#!/bin/sh\\necho >/run/held; for i in $(seq 300); do [ -e /run/held ] || break; sleep 0.1; done; echo >/run/mended' >"$1/e2fsck"`,
      'chmod +x "$1/e2fsck"',
      'mount --bind "$1/e2fsck" /usr/sbin/e2fsck',
    ].join('\n');
    const identity = { ...IDENTITY, body: `${IDENTITY.body}block /srv/memory/containers\n` };
    const { node, program, ended, said } = await reporting(context, () => identity, {
      prelude: `${prelude}\n${checking}`,
      state: 'running',
    });
    await node.shell('for i in $(seq 200); do [ -e /run/held ] && exit; sleep 0.1; done; exit 1');
    program.kill('SIGTERM');
    await sleep(500);
    assert.equal(program.exitCode ?? program.signalCode, null);
    await node.shell('rm /run/held');
    assert.deepEqual(await ended, [0, null]);
    assert.equal(await node.shell('ls /run/mended'), '/run/mended');
    assert.equal(await node.shell('findmnt -nro FSTYPE /srv/memory/containers'), 'ext4');
    assert.equal(said(), '');
    await node.shell('umount /srv/memory/containers');
  });

  it('that is stopped while it waits for the next time to ask ends at once', async (context) => {
    const { program, ended, report } = await reporting(context, () => ({ body: undefined }), { prelude });
    await report(1);
    await sleep(300);
    program.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null]);
  });

  const unwritable = 'mkdir /run/netboot/ssh/ssh_host_ed25519_key.netboot-new';
  for (const { name, reply, until, more, why } of [
    {
      name: 'is refused',
      reply: { body: 'no\n', status: 403 },
      until: '1e9',
      why: /: it was refused: no$/m,
    },
    {
      name: 'has waited too long',
      reply: { body: undefined },
      until: '1',
      why: /: (no answer|connection lost|Connection reset by peer)$/m,
    },
    {
      name: 'has nowhere to keep it',
      reply: IDENTITY,
      until: '1',
      more: unwritable,
      why: /: File exists$/m,
    },
  ])
    it(`ends when it ${name}, and leaves nothing to be started for`, async (context) => {
      const node = await reporting(context, () => reply, { prelude: `${waitingFor(until)}; ${more ?? ':'}` });
      assert.deepEqual(await node.ended, [0, null]);
      assert.equal(node.appliance.asked.length, 1);
      assert.match(node.said(), /^<3>this node gets no identity in this boot: /m);
      assert.match(node.said(), why);
      assert.match(await node.node.shell('ls /run/netboot/nonce 2>&1 || true'), /No such file/);
      assert.equal(await node.node.shell('cat /run/netboot/ssh/ssh_host_ed25519_key'), 'meantime');
    });
});
