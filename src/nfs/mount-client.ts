import { createConnection } from 'node:net';
import { decodeExportReply, encodeExportCall, joinFragments, type ServedExport } from './mount-packet.ts';

/**
 * Asks the mountd on this machine's loopback what it exports, to whom.
 * @throws the socket's error, or WireError, or an Error after `timeoutMs`.
 */
export function servedExports(port: number, timeoutMs = 2000): Promise<ServedExport[]> {
  const xid = Math.floor(Math.random() * 0xffffffff);
  return new Promise((resolve, reject) => {
    const socket = createConnection({ port, host: '127.0.0.1' });
    const finish = (settle: () => void) => {
      socket.destroy();
      settle();
    };
    let received = Buffer.alloc(0);
    socket.setTimeout(timeoutMs, () => finish(() => reject(new Error(`no answer in ${timeoutMs} ms`))));
    socket.on('error', (error) => finish(() => reject(error)));
    socket.on('close', () => reject(new Error('the connection was closed')));
    socket.on('connect', () => socket.write(encodeExportCall(xid)));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      try {
        const record = joinFragments(received);
        if (record) finish(() => resolve(decodeExportReply(record, xid)));
      } catch (error) {
        finish(() => reject(error));
      }
    });
  });
}
