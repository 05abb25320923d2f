import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allocateMemory } from '../../src/host/native-memory.ts';
import { closeDescriptor, openUdpDescriptor } from '../../src/host/udp.ts';
import { UdpReceiver, UdpSender } from '../../src/host/udp-batch.ts';
import { addressWord } from '../../src/net/address-word.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import { EngineSocket } from '../../src/tftp/engine-socket.ts';
import { Running } from '../../src/tftp/running.ts';
import { noise } from './noise.ts';

const HERE = '127.0.0.1' as Ipv4;
const PORT = 40_000 + (process.pid % 20_000);
const EIO = 5;

/** The kernel of a machine whose interfaces cannot cut a train into datagrams refuses it: so does this one. */
class RefusingSender extends UdpSender {
  #segmented: number[] = [];
  override end(segment = 0): void {
    if (segment > 0) this.#segmented.push(segment);
    else super.end();
  }
  override flush(onRefused?: (tag: number, errno: number, segment: number) => void): void {
    super.flush(onRefused);
    for (const segment of this.#segmented.splice(0)) onRefused?.(0, EIO, segment);
  }
}

for (const [name, open] of Object.entries({
  'goes as one train': (fd: number) => new UdpSender(fd),
  'goes block by block once a train was refused': (fd: number) => new RefusingSender(fd),
})) {
  test(`a window ${name}`, () => {
    const [from, to] = [0, PORT].map((port) =>
      openUdpDescriptor({ interface: 'lo', address: HERE, port }),
    ) as [number, number];
    const bytes = noise(5000);
    const memory = allocateMemory(bytes.length);
    new Uint8Array(memory.buffer).set(bytes);
    const socket = new EngineSocket(from, { receiver: new UdpReceiver(from), sender: open(from) }, 16, 1);
    const terms = {
      blockSize: 1000,
      windowSize: 16,
      timeoutMs: 1000,
      accepted: new Map([['windowsize', '16']]),
    };
    const order = { kind: 'start', id: 1, group: 1, address: addressWord(HERE), port: PORT, terms } as const;
    const running = new Running({ ...order, file: memory.address, size: bytes.length }, socket, 0, 0);
    const refusals: number[] = [];
    const onRefused = (_tag: number, errno: number) => void refusals.push(errno);
    running.transfer.start(0);
    running.transfer.acknowledge(0, 1);
    const receiver = new UdpReceiver(to);
    let count = 0;
    for (let tries = 0; tries < 2 && count === 0; tries += 1) {
      running.transfer.open(2, 16);
      assert.equal(socket.sendWindow(running, onRefused), 5000);
      socket.flush(onRefused);
      count = receiver.receive();
    }
    // Five whole blocks and the empty one that ends a multiple of the block size.
    assert.deepEqual(
      Array.from({ length: count }, (_, i) => [receiver.payload(i)[3], receiver.length(i)]),
      [1, 2, 3, 4, 5].map((block) => [block, 1004]).concat([[6, 4]]),
    );
    const data = Array.from({ length: count }, (_, i) => Buffer.from(receiver.payload(i)).subarray(4));
    assert.ok(Buffer.concat(data).equals(bytes));
    assert.deepEqual(refusals, name.includes('refused') ? [EIO] : []);
    receiver.release();
    memory.release();
    for (const fd of [from, to]) closeDescriptor(fd);
  });
}
