import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openUdp, type UdpBinding } from '../../src/host/udp.ts';
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
