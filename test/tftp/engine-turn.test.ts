import assert from 'node:assert/strict';
import type dgram from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { allocateMemory } from '../../src/host/native-memory.ts';
import { closeDescriptor, openUdpDescriptor } from '../../src/host/udp.ts';
import { UdpReceiver, UdpSender } from '../../src/host/udp-batch.ts';
import { addressWord } from '../../src/net/address-word.ts';
import type { Ipv4 } from '../../src/net/ipv4.ts';
import { Engine } from '../../src/tftp/engine.ts';
import { type EngineReport, GAUGES } from '../../src/tftp/engine-port.ts';
import { encodePacket } from '../../src/tftp/packet.ts';
import { openSocket } from './loopback.ts';

const HERE = '127.0.0.1' as Ipv4;

/** Its memory is unmapped when it is released: to look at it then would end the process. */
class CheckedReceiver extends UdpReceiver {
  isReleased = false;
  override address(i: number): number {
    assert.ok(!this.isReleased, 'used after it was released');
    return super.address(i);
  }
  override release(): void {
    this.isReleased = true;
    super.release();
  }
}

test('sockets that are to be closed stay until everything that came to them has been looked at', async () => {
  const fd = openUdpDescriptor({ interface: 'lo', address: HERE, port: 0 });
  const receiver = new CheckedReceiver(fd);
  const reports: EngineReport[] = [];
  const engine = new Engine({
    limits: { slots: 1, smallBytes: 1000, transfers: 4 },
    gauges: new Float64Array(GAUGES),
    openDatagrams: () => ({ receiver, sender: new UdpSender(fd) }),
    report: (report) => void reports.push(report),
  });
  const [client, stranger] = [await openSocket(), await openSocket()];
  const memory = allocateMemory(64);
  engine.order({ kind: 'sockets', group: 1, fds: [fd] }, 0);
  engine.order(
    {
      kind: 'start',
      id: 7,
      group: 1,
      address: addressWord(HERE),
      port: client.address().port,
      terms: { blockSize: 512, windowSize: 1, timeoutMs: 1000 },
      file: memory.address,
      size: 10,
    },
    0,
  );
  engine.turn(0);
  const [, { port }] = (await once(client, 'message')) as [Buffer, dgram.RemoteInfo];
  engine.order({ kind: 'close', group: 1 }, 1);
  const ack = encodePacket({ kind: 'ack', block: 1 });
  for (const sender of [client, stranger]) {
    await new Promise((resolve) => sender.send(ack, port, HERE, resolve));
  }
  await sleep(10);
  for (const socket of engine.sockets) socket.isReady = true;
  engine.turn(2);
  assert.deepEqual(reports, [
    { kind: 'over', id: 7, outcome: { kind: 'completed' } },
    { kind: 'closed', group: 1 },
  ]);
  assert.ok(receiver.isReleased);
  assert.deepEqual(engine.sockets, []);
  const [told] = (await once(stranger, 'message')) as [Buffer];
  assert.deepEqual([...told.subarray(0, 4)], [0, 5, 0, 5]);
  memory.release();
  closeDescriptor(fd);
  for (const socket of [client, stranger]) socket.close();
});
