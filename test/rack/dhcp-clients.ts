import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { MESSAGE_TYPE, OPTION, readIpv4, readMessageType } from '../../src/dhcp/options.ts';
import { type DhcpMessage, decodeMessage, encodeMessage } from '../../src/dhcp/packet.ts';
import { openUdp } from '../../src/host/udp.ts';
import { type Ipv4, ipv4ToBytes, LIMITED_BROADCAST, UNSPECIFIED } from '../../src/net/ipv4.ts';
import { type Mac, macFromBytes } from '../../src/net/mac.ts';

/**
 * A program: a room full of DHCP clients on eth0 of this network namespace. `dhcp-clients.ts WORKERS MACS`: that many at
 * a time, each with a MAC of its own, and when all have had their turn the first is switched on again. Writes
 * `{"mac","address"}` for each ACK that arrived, and is as stubborn as real ones: what is not answered is asked again.
 */
const [workers, macs] = process.argv.slice(2).map(Number) as [number, number];
const RESEND_MS = 400;

const socket = await openUdp({ interface: 'eth0', port: 68 });
const waiting = new Map<number, (message: DhcpMessage) => void>();
socket.on('message', (bytes) => {
  const message = decodeMessage(bytes);
  waiting.get(message.xid)?.(message);
});

/** Sends until it is answered. */
async function exchange(mac: Mac, options: Array<[number, Uint8Array]>): Promise<DhcpMessage> {
  const xid = randomInt(2 ** 32);
  const answered = Promise.withResolvers<DhcpMessage>();
  waiting.set(xid, answered.resolve);
  const bytes = encodeMessage({
    ...{ op: 1, htype: 1, hops: 0, xid, secs: 0, flags: 0x8000, sname: '', file: '' },
    ...{ ciaddr: UNSPECIFIED, yiaddr: UNSPECIFIED, siaddr: UNSPECIFIED, giaddr: UNSPECIFIED },
    chaddr: mac,
    options: new Map(options),
  });
  const send = () => socket.send(bytes, 67, LIMITED_BROADCAST, () => {});
  const resending = setInterval(send, RESEND_MS);
  send();
  const message = await answered.promise;
  clearInterval(resending);
  waiting.delete(xid);
  return message;
}

async function lease(mac: Mac): Promise<Ipv4> {
  for (;;) {
    const offer = await exchange(mac, [[OPTION.messageType, Uint8Array.of(MESSAGE_TYPE.discover)]]);
    const server = readIpv4(offer.options, OPTION.serverIdentifier) as Ipv4;
    const ack = await exchange(mac, [
      [OPTION.messageType, Uint8Array.of(MESSAGE_TYPE.request)],
      [OPTION.requestedIpAddress, ipv4ToBytes(offer.yiaddr)],
      [OPTION.serverIdentifier, ipv4ToBytes(server)],
    ]);
    if (readMessageType(ack.options) === 'ack') return ack.yiaddr;
  }
}

let next = 0;
async function work(): Promise<void> {
  for (;;) {
    const number = next++ % macs;
    const mac = macFromBytes(Uint8Array.of(2, 0, 0, 0, number >> 8, number & 0xff));
    const line = `${JSON.stringify({ mac, address: await lease(mac) })}\n`;
    if (!process.stdout.write(line)) await once(process.stdout, 'drain');
    await sleep(randomInt(500));
  }
}
await Promise.all(Array.from({ length: workers }, work));
