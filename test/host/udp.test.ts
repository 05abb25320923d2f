import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { BURST_BYTES, openBatchedUdp, openUdp, type UdpBinding } from '../../src/host/udp.ts';
import { Refusal } from '../../src/model/command.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';

test('a port of an interface has one owner: the second is refused and told how to find the first', async () => {
  const first = await openUdp({ interface: 'lo', port: 0 });
  const { port } = first.address();
  const openAndClose = async (more: Partial<UdpBinding> = {}) =>
    (await openUdp({ interface: 'lo', port, ...more })).close();
  const isRefused = (error: Error) =>
    error instanceof Refusal &&
    error.message.includes(`UDP port ${port} on interface "lo" cannot be opened: address already in use`) &&
    error.remedy.includes(`ss -ulpn sport = :${port}`);
  try {
    await assert.rejects(openAndClose(), isRefused);
    await assert.rejects(openAndClose({ address: '127.0.0.1' as Ipv4 }), isRefused);
  } finally {
    first.close();
  }
  await openAndClose(); // at once: UDP ports do not linger
});

test('a port has one owner even among those that would share it', async () => {
  const port = 20_000 + (process.pid % 20_000);
  for (const open of [openUdp, openBatchedUdp]) {
    const first = await open({ interface: 'lo', port });
    const second = dgram.createSocket({ type: 'udp4', reuseAddr: true });
    const outcome = new Promise((resolve) => {
      second.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code));
      second.bind(port, '127.0.0.1', () => resolve('bound'));
    });
    assert.equal(await outcome, 'EADDRINUSE');
    second.close();
    await new Promise<void>((resolve) => first.close(resolve));
  }
});

test('what is installed with the service lets it have the room for a burst', async () => {
  const text = await readFile(new URL('../../systemd/netboot.sysctl', import.meta.url), 'utf8');
  for (const name of ['net.core.rmem_max', 'net.core.wmem_max']) {
    const [, bytes] = new RegExp(`^-?${name} = (\\d+)$`, 'm').exec(text) ?? assert.fail(name);
    assert.ok(Number(bytes) >= BURST_BYTES, name);
  }
});
