import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  MESSAGE_TYPE,
  type MessageType,
  OPTION,
  readIpv4,
  readText,
  textBytes,
} from '../../src/dhcp/options.ts';
import { decodeMessage, encodeMessage } from '../../src/dhcp/packet.ts';
import { PacketSocket } from '../../src/host/packet-socket.ts';
import { openUdp } from '../../src/host/udp.ts';
import { type Ipv4, ipv4ToBytes, LIMITED_BROADCAST, UNSPECIFIED } from '../../src/net/ipv4.ts';
import { type Mac, macFromBytes, macToBytes } from '../../src/net/mac.ts';

/**
 * A program on eth0 of this network namespace that does one thing which is hard to have from a real client:
 *   pi MAC SERIAL          asks as a Pi 4 does; prints what it was offered, and from where
 *   renew MAC ADDRESS      asks to keep an address; prints the answer
 *   flood COUNT            that many DISCOVERs of invented machines
 *   bpdu SECONDS           speaks like a switch with spanning tree
 */
const [verb, ...args] = process.argv.slice(2) as [string, ...string[]];

function message(type: MessageType, chaddr: Mac, options: Array<[number, Uint8Array]>, ciaddr = UNSPECIFIED) {
  return encodeMessage({
    ...{ op: 1, htype: 1, hops: 0, xid: randomInt(2 ** 32), secs: 0, flags: 0x8000, sname: '', file: '' },
    ...{ ciaddr, yiaddr: UNSPECIFIED, siaddr: UNSPECIFIED, giaddr: UNSPECIFIED },
    chaddr,
    options: new Map<number, Uint8Array>([
      [OPTION.messageType, Uint8Array.of(MESSAGE_TYPE[type])],
      [OPTION.parameterRequestList, Uint8Array.of(1, 3, 43, 60, 66, 67)],
      ...options,
    ]),
  });
}

async function ask(bytes: Uint8Array): Promise<void> {
  const socket = await openUdp({ interface: 'eth0', port: 68 });
  const give = setTimeout(() => socket.emit('message', undefined), 5000);
  socket.send(bytes, 67, LIMITED_BROADCAST);
  const [answer, source] = (await once(socket, 'message')) as [
    Buffer | undefined,
    { address: string } | undefined,
  ];
  clearTimeout(give);
  socket.close();
  if (!answer) return console.log(JSON.stringify({ type: 'silence' }));
  const { yiaddr, siaddr, options } = decodeMessage(answer);
  console.log(
    JSON.stringify({
      type: options.get(OPTION.messageType)?.[0],
      yiaddr,
      siaddr,
      server: readIpv4(options, OPTION.serverIdentifier),
      tftp: readText(options, OPTION.tftpServerName),
      source: source?.address,
    }),
  );
}

async function flood(count: number): Promise<void> {
  const socket = await openUdp({ interface: 'eth0', port: 68 });
  for (let sent = 0; sent < count; sent++) {
    const bytes = macToBytes('02:00:00:00:00:00' as Mac);
    for (let index = 1; index < 6; index++) bytes[index] = randomInt(256);
    socket.send(message('discover', macFromBytes(bytes), []), 67, LIMITED_BROADCAST, () => {});
    if (sent % 20 === 19) await sleep(5);
  }
  socket.close();
}

async function speakSpanningTree(seconds: number): Promise<void> {
  using socket = new PacketSocket('eth0');
  for (let count = 0; count < seconds; count++) {
    const frame = socket.slot.fill(0);
    frame.set(macToBytes('01:80:c2:00:00:00' as Mac), 0);
    frame.set(macToBytes('00:1b:21:00:00:01' as Mac), 6);
    frame.writeUInt16BE(38, 12); // length of LLC and configuration BPDU
    frame.set([0x42, 0x42, 0x03], 14);
    socket.commit(60);
    socket.flush();
    await sleep(1000);
  }
}

switch (verb) {
  case 'pi': {
    const serial = Buffer.from(args[1] as string, 'hex').reverse();
    await ask(
      message('discover', args[0] as Mac, [
        [OPTION.clientArch, new Uint8Array(2)],
        [
          OPTION.clientMachineId,
          Uint8Array.of(0, ...textBytes('RPi4'), 0x14, 0x31, 0xd0, 0, 0, 0, 0, 0, ...serial),
        ],
        [OPTION.vendorClass, textBytes('PXEClient:Arch:00000:UNDI:002001')],
      ]),
    );
    break;
  }
  case 'renew':
    await ask(
      message('request', args[0] as Mac, [[OPTION.requestedIpAddress, ipv4ToBytes(args[1] as Ipv4)]]),
    );
    break;
  case 'flood':
    await flood(Number(args[0]));
    break;
  case 'bpdu':
    await speakSpanningTree(Number(args[0]));
    break;
}
