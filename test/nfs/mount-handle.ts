import type { NfsRack } from './nfs-rack.ts';
import { INSIDE } from './nfs-rack.ts';

/** A program that asks mountd for an export's root (MOUNTPROC3_MNT) and prints the file handle in hex. */
const ASK = `
const net = require('node:net');
const [address, path] = process.argv.slice(1);
const words = (...values) => Buffer.concat(values.map((value) => { const b = Buffer.alloc(4); b.writeUInt32BE(value >>> 0); return b; }));
const opaque = (text) => { const b = Buffer.from(text); return Buffer.concat([words(b.length), b, Buffer.alloc((4 - b.length % 4) % 4)]); };
const credentials = Buffer.concat([words(0), opaque('pi'), words(0, 0, 0)]);
const call = Buffer.concat([words(7, 0, 2, 100005, 3, 1, 1, credentials.length), credentials, words(0, 0), opaque(path)]);
const socket = net.connect(20048, address, () => socket.write(Buffer.concat([words(0x80000000 + call.length), call])));
socket.setTimeout(3000, () => process.exit(1));
socket.once('data', (reply) => {
  if (reply.readUInt32BE(28) !== 0) throw new Error('MNT status ' + reply.readUInt32BE(28));
  console.log(reply.subarray(36, 36 + reply.readUInt32BE(32)).toString('hex'));
  socket.destroy();
});
`;

/** The NFSv3 file handle of an export's root, in hex: what a running Pi holds on to. */
export const rootHandle = (rack: NfsRack, path: string): string =>
  rack.sh(process.execPath, '-e', ASK, INSIDE, path).trim();
