import net from 'node:net';

/** A program for a machine of the rack: `slow-readers.ts SERVER COUNT PATH`. So many clients read the path by HTTP at a trickle. */
const [server = '', count = '', path = ''] = process.argv.slice(2);

const sockets = Array.from({ length: Number(count) }, () => {
  const socket = net.connect({ host: server, port: 80 });
  socket.on('error', () => {});
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${server}\r\n\r\n`);
  socket.pause();
  return socket;
});
setInterval(() => {
  for (const socket of sockets) socket.read(500);
}, 200);
