import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MESSAGE_TYPE, OPTION } from '../../src/dhcp/options.ts';
import { encodeMessage } from '../../src/dhcp/packet.ts';
import { watchRivals } from '../../src/dhcp/rivals.ts';
import { silentLog } from '../../src/model/log.ts';
import { Warnings } from '../../src/model/warnings.ts';
import { type Ipv4, ipv4FromNumber, ipv4ToBytes } from '../../src/net/ipv4.ts';
import { mac, plain, SERVER } from './fixtures/world.ts';

/** A watch on a wire that is played by the test. */
function world(t: TestContext, sendError: Error | null = null) {
  let hear: ((bytes: Uint8Array, source: { address: string; port: number }) => void) | undefined;
  let sent = 0;
  const lines: string[] = [];
  const warnings = new Warnings({ ...silentLog, warn: (_, text) => void lines.push(text) }, () => 0);
  const own = new Set([SERVER]);
  const watch = watchRivals({
    interface: 'eth0',
    socket: {
      on(event: 'message' | 'error', listener: (...args: never[]) => void) {
        if (event === 'message') hear = listener as typeof hear;
      },
      send(_bytes, _port, _address, onSent) {
        sent++;
        onSent(sendError);
      },
      close: (onClosed) => onClosed(),
    },
    mac: mac('52:54:00:00:00:01'),
    isOurs: (address) => own.has(address),
    warnings,
  });
  t.after(() => watch.close());
  const offer = (server: Ipv4) => {
    const message = plain('discover', {}, [
      [OPTION.messageType, Uint8Array.of(MESSAGE_TYPE.offer)],
      [OPTION.serverIdentifier, ipv4ToBytes(server)],
    ]);
    const bytes = encodeMessage({ ...message, op: 2, yiaddr: '192.168.172.99' as Ipv4 });
    hear?.(bytes, { address: server, port: 67 });
  };
  return { watch, warnings, lines, own, offer, sent: () => sent };
}

test('who forges offers of thousands of servers gets a few lines, the first servers named', (t) => {
  const { warnings, lines, offer } = world(t);
  for (let number = 0; number < 20_000; number++) offer(ipv4FromNumber(0x0a000001 + number));
  assert.ok(lines.length <= 9, `${lines.length} lines`);
  const [warning] = warnings.all();
  assert.match(warning?.text ?? '', /: 10\.0\.0\.1, .*10\.0\.0\.8 and others\. /);
  assert.ok((warning?.text.length ?? 0) < 500);
});

test('a server that answers the question ends it at once; our own answers never do, under a new address either', async (t) => {
  const { watch, lines, own, offer, sent } = world(t);
  offer(SERVER);
  own.clear();
  own.add('192.168.172.18' as Ipv4);
  offer('192.168.172.18' as Ipv4);
  assert.deepEqual(lines, []);
  const asked = watch.ask();
  while (sent() === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  offer('192.168.172.1' as Ipv4);
  assert.deepEqual(await asked, { servers: ['192.168.172.1'], fault: undefined });
});

test('a question that could not be sent is no proof that nobody is there', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { watch } = world(t, new Error('send ENETDOWN'));
  const asked = watch.ask();
  t.mock.timers.tick(4000);
  assert.deepEqual(await asked, { servers: [], fault: 'send ENETDOWN' });
});
