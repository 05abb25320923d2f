import { PacketSocket } from '../../src/host/packet-socket.ts';

/** Program of packet-socket.test.ts: sends numbered frames, or receives them and says which came, in its namespace. */
const [role = '', count = ''] = process.argv.slice(2);
const frames = Number(count);
using socket = new PacketSocket('eth0', { receiveFrames: 32 * 1024 });
if (role === 'send') {
  for (let number = 0; number < frames; number++) {
    const frame = socket.slot;
    frame.fill(0xff, 0, 6);
    frame.set([2, 0, 0, 0, 0, 1, 0x88, 0xb5], 6);
    frame.writeUInt32BE(number, 14);
    frame.fill(number, 18, 1514);
    socket.commit(1514);
  }
  socket.flush();
  console.log(JSON.stringify({ own: socket.receive(() => {}) }));
} else {
  let inOrder = 0;
  let wrong = 0;
  console.log('ready');
  for (const until = Date.now() + 10_000; Date.now() < until && inOrder + wrong < frames; ) {
    socket.wait(100);
    socket.receive((frame, length) => {
      if (frame.readUInt16BE(12) !== 0x88b5) return; // what the kernel says by itself
      const isRight =
        length === 1514 && frame.readUInt32BE(14) === inOrder && frame[1513] === (inOrder & 0xff);
      if (isRight) inOrder += 1;
      else wrong += 1;
    });
  }
  console.log(JSON.stringify({ inOrder, wrong, dropped: socket.statistics().dropped, mac: socket.mac }));
}
