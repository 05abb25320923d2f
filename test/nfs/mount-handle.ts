import type { NfsRack } from './nfs-rack.ts';
import { INSIDE } from './nfs-rack.ts';

/** The beginning of a program that calls a server of RPC. Its arguments: an address, and what the call is about. */
const CALL = `
const net = require('node:net');
const [address, about] = process.argv.slice(1);
const words = (...values) => Buffer.concat(values.map((value) => { const b = Buffer.alloc(4); b.writeUInt32BE(value >>> 0); return b; }));
const opaque = (text) => { const b = Buffer.from(text); return Buffer.concat([words(b.length), b, Buffer.alloc((4 - b.length % 4) % 4)]); };
const credentials = Buffer.concat([words(0), opaque('pi'), words(0, 0, 0)]);
const ask = (port, program, procedure, argument, onReply) => {
  const call = Buffer.concat([words(7, 0, 2, program, 3, procedure, 1, credentials.length), credentials, words(0, 0), argument]);
  const socket = net.connect(port, address, () => socket.write(Buffer.concat([words(0x80000000 + call.length), call])));
  socket.setTimeout(3000, () => process.exit(1));
  socket.once('data', (reply) => { console.log(onReply(reply)); socket.destroy(); });
};
`;

/** Asks mountd for an export's root (MOUNTPROC3_MNT) and prints the file handle in hex. */
const MOUNT = `${CALL}
ask(20048, 100005, 1, opaque(about), (reply) => {
  if (reply.readUInt32BE(28) !== 0) throw new Error('MNT status ' + reply.readUInt32BE(28));
  return reply.subarray(36, 36 + reply.readUInt32BE(32)).toString('hex');
});
`;

/** Asks for the attributes of a file handle (GETATTR3) and prints the status, or that the call was denied. */
const LOOK = `${CALL}
ask(2049, 100003, 1, opaque(Buffer.from(about, 'hex')), (reply) =>
  reply.readUInt32BE(12) === 0 ? reply.readUInt32BE(28) : 'denied');
`;

/** The NFSv3 file handle of an export's root, in hex: what a running Pi holds on to. */
export const rootHandle = (rack: NfsRack, path: string): string =>
  rack.sh(process.execPath, '-e', MOUNT, INSIDE, path).trim();

/** What comes of a file handle, however one got it, that is used from an address: 0 is success. */
export const statusOfHandle = (rack: NfsRack, handle: string, address: string): string =>
  rack.sh(process.execPath, '-e', LOOK, address, handle).trim();
