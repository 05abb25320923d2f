import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allocateMemory } from '../../src/host/native-memory.ts';
import { closeDescriptor, openUdpDescriptor } from '../../src/host/udp.ts';
import { Poll, UdpReceiver, UdpSender } from '../../src/host/udp-batch.ts';
import { addressOfWord, addressWord } from '../../src/net/address-word.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';

const HERE = '127.0.0.1' as Ipv4;
const here = addressWord(HERE);

function openPair() {
  const left = openUdpDescriptor({ interface: 'lo', address: HERE, port: 0, bufferBytes: 1 << 20 });
  const right = openUdpDescriptor({ interface: 'lo', address: HERE, port: 0, bufferBytes: 1 << 20 });
  const poll = new Poll([right]);
  const sender = new UdpSender(left);
  const receiver = new UdpReceiver(right);
  const back = new UdpReceiver(left);
  const answers = new UdpSender(right);
  // Which port each got, as a datagram to it would have to name it: Linux tells it in /proc/net/udp only.
  const close = () => {
    for (const part of [poll, sender, receiver, back, answers]) part.release();
    closeDescriptor(left);
    closeDescriptor(right);
  };
  return { left, right, poll, sender, receiver, back, answers, close };
}

/** A port of loopback that is free now; bound by its number at once. */
function openOn(port: number): number {
  return openUdpDescriptor({ interface: 'lo', address: HERE, port, bufferBytes: 1 << 20 });
}

/** A whole datagram. */
function queue(sender: UdpSender, bytes: Uint8Array, address: number, port: number): void {
  assert.ok(sender.fits(1, bytes.length));
  sender.begin(address, port);
  sender.copy(bytes);
  sender.end();
}

const PORT = 20_000 + (process.pid % 20_000);

test('addresses are words and back', () => {
  for (const text of ['0.0.0.0', '127.0.0.1', '192.168.172.17', '255.255.255.255']) {
    assert.equal(addressOfWord(addressWord(text as Ipv4)), text);
  }
});

test('many datagrams go in one call and come in one call, each as it was, with its sender', () => {
  const pair = openPair();
  const fd = openOn(PORT);
  const receiver = new UdpReceiver(fd);
  const payloads = Array.from({ length: 40 }, (_, i) => Buffer.from(`datagram ${i}`.repeat(1 + (i % 7))));
  for (const payload of payloads) queue(pair.sender, payload, here, PORT);
  assert.equal(receiver.receive(), 0);
  pair.sender.flush((_tag, errno) => assert.fail(`refused: ${errno}`));
  const poll = new Poll([fd]);
  assert.equal(poll.wait(1000), 1);
  assert.ok(poll.isReady(0));
  assert.equal(receiver.receive(), 40);
  payloads.forEach((payload, i) => {
    assert.deepEqual(Buffer.from(receiver.payload(i)), payload);
    assert.equal(receiver.address(i), here);
    assert.equal(receiver.port(i), receiver.port(0));
    assert.equal(receiver.isTruncated(i), false);
  });
  // The answer to the port that it told arrives where the datagrams came from.
  const answers = new UdpSender(fd);
  queue(answers, Buffer.from('back'), receiver.address(0), receiver.port(0));
  answers.flush();
  assert.equal(pair.back.receive(), 1);
  assert.equal(Buffer.from(pair.back.payload(0)).toString(), 'back');
  assert.equal(pair.back.port(0), PORT);
  for (const part of [receiver, answers, poll]) part.release();
  closeDescriptor(fd);
  pair.close();
});

test('parts are put together without copying them, and a train is cut into datagrams', () => {
  const pair = openPair();
  const fd = openOn(PORT);
  const receiver = new UdpReceiver(fd);
  const memory = allocateMemory(10_000);
  const bytes = new Uint8Array(memory.buffer).map((_, i) => (i * 7) % 251);
  new Uint8Array(memory.buffer).set(bytes);
  const blocks = [0, 1, 2, 3];
  assert.ok(pair.sender.fits(8, 16));
  pair.sender.begin(here, PORT);
  for (const block of blocks) {
    pair.sender.copyWord(0x0003_0000 + block);
    pair.sender.point(memory.address + block * 1000, block === 3 ? 17 : 1000);
  }
  pair.sender.end(1004);
  pair.sender.flush((_tag, errno) => assert.fail(`refused: ${errno}`));
  assert.equal(receiver.receive(), 4);
  for (const block of blocks) {
    const expected = [
      0,
      3,
      0,
      block,
      ...bytes.subarray(block * 1000, block * 1000 + (block === 3 ? 17 : 1000)),
    ];
    assert.deepEqual([...receiver.payload(block)], expected);
  }
  memory.release();
  receiver.release();
  closeDescriptor(fd);
  pair.close();
});

test('what the kernel refuses is told with its tag, and the rest is sent', () => {
  const pair = openPair();
  const fd = openOn(PORT);
  const receiver = new UdpReceiver(fd, { size: 64 });
  const refused: number[][] = [];
  queue(pair.sender, Buffer.from('one'), here, PORT);
  pair.sender.begin(here, PORT, 42);
  pair.sender.point(4096, 100); // nobody's memory: EFAULT
  pair.sender.end();
  queue(pair.sender, Buffer.from('x'.repeat(500)), here, PORT);
  pair.sender.flush((tag, errno) => refused.push([tag, errno]));
  assert.deepEqual(refused, [[42, 14]]);
  assert.equal(receiver.receive(), 2);
  assert.deepEqual([receiver.length(1), receiver.isTruncated(1)], [64, true]);
  receiver.release();
  closeDescriptor(fd);
  pair.close();
});
