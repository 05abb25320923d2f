import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { Poll, UdpReceiver, UdpSender } from './host/udp-batch.ts';
import { drainWake } from './host/wake.ts';
import { Engine } from './tftp/engine.ts';
import type { EngineOrder, EngineReport, EngineSetup } from './tftp/engine-port.ts';

/** However little there is to do, an engine shows that it lives; and a process that ends waits for it no longer. */
const HEARTBEAT_MS = 1000;
const MEASURE_MS = 100;
const POLL_MS = 1;

/**
 * The composition root of a TFTP engine's thread: it waits for datagrams and orders in one system call, and nothing
 * else ever runs here. What goes wrong ends the thread, which the service sees.
 */
function main(setup: EngineSetup): void {
  const port = parentPort;
  if (!port) throw new Error('tftp-worker.ts is run by the service, in a thread');
  let reports: EngineReport[] = [];
  const engine = new Engine({
    limits: setup.limits,
    gauges: new Float64Array(setup.gauges),
    openDatagrams: (fd) => ({
      receiver: new UdpReceiver(fd, { capacity: 64, size: 576 }),
      sender: new UdpSender(fd, { capacity: 64, parts: 1024, room: 16_384 }),
    }),
    report: (report) => void reports.push(report),
  });
  const orders = new Int32Array(setup.orders);
  let ordersTaken = 0;
  let polled = engine.sockets;
  let poll = new Poll([setup.wakeFd]);
  let measuredAt = 0;
  let polledAt = 0;

  while (!engine.isStopped) {
    const now = performance.now();
    if (Atomics.load(orders, 0) !== ordersTaken) {
      for (let got = receiveMessageOnPort(port); got; got = receiveMessageOnPort(port)) {
        ordersTaken += 1;
        engine.order(got.message as EngineOrder, now);
      }
    }
    engine.turn(now);
    if (reports.length > 0) {
      port.postMessage(reports);
      reports = [];
      measuredAt = 0;
    }
    if (now - measuredAt >= MEASURE_MS) {
      engine.measure(now);
      measuredAt = now;
    }
    if (engine.sockets !== polled) {
      polled = engine.sockets;
      poll.release();
      poll = new Poll([setup.wakeFd, ...polled.map(({ fd }) => fd)]);
    }
    const isBusy = engine.isAnyReady;
    // Even then all are asked now and then: a socket with little to do has its turn beside a busy one.
    if (isBusy && now - polledAt < POLL_MS) continue;
    polledAt = now;
    const idle = isBusy ? 0 : Math.min(HEARTBEAT_MS, Math.ceil(engine.idleMs(now)));
    if (poll.wait(idle) <= 0) continue;
    if (poll.isReady(0)) drainWake(setup.wakeFd);
    for (let i = 0; i < polled.length; i += 1) {
      const socket = polled[i];
      if (socket && poll.isReady(i + 1)) socket.isReady = true;
    }
  }
  poll.release();
}

main(workerData as EngineSetup);
