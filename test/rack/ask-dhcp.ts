import { setTimeout as sleep } from 'node:timers/promises';
import { readIpv4, readMessageType, readText } from '../../src/dhcp/options.ts';
import { decodeMessage } from '../../src/dhcp/packet.ts';
import { openUdp } from '../../src/host/udp.ts';
import { LIMITED_BROADCAST } from '../../src/net/ipv4.ts';

/**
 * A program: says one datagram to every DHCP server on eth0 of this network namespace and writes what comes back in the
 * next MILLISECONDS, a line of JSON each: `ask-dhcp.ts HEX MILLISECONDS`. `after` is the time it took. Like every Pi 3, it
 * writes 0 for the UDP checksum.
 */
const [hex, milliseconds] = process.argv.slice(2) as [string, string];
const socket = await openUdp({ interface: 'eth0', port: 68, checksum: false });
const started = performance.now();
socket.on('message', (bytes, { address }) => {
  const { options, siaddr, yiaddr, xid } = decodeMessage(bytes);
  const reply = {
    type: readMessageType(options),
    server: readIpv4(options, 54),
    tftp: readText(options, 66),
  };
  const after = Math.round(performance.now() - started);
  console.log(JSON.stringify({ ...reply, source: address, siaddr, yiaddr, xid, after }));
});
socket.send(Buffer.from(hex, 'hex'), 67, LIMITED_BROADCAST, () => {});
await sleep(Number(milliseconds));
process.exit(0);
