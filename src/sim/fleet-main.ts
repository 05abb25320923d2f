import { setTimeout as sleep } from 'node:timers/promises';
import { PacketSocket } from '../host/packet-socket.ts';
import { fnv1a } from '../net/fnv1a.ts';
import { Cable } from './cable.ts';
import { CableLink } from './cable-link.ts';
import { INTERFACE } from './ethernet.ts';
import { fleetBoards } from './fleet-boards.ts';
import { livePi } from './fleet-pi.ts';
import type { FleetLine, FleetOrder } from './fleet-process.ts';
import { SharedFiles } from './shared-files.ts';

/** The process in the fleet's namespace: all its Pis, told on stdout line by line. */

const order = JSON.parse(process.argv[2] ?? '') as FleetOrder;
const { seed } = order;
const members = fleetBoards(seed, order.pis, order.mix);
const socket = new PacketSocket(INTERFACE, { receiveFrames: 32 * 1024 });
const cable = new Cable(socket, seed, order.impairment);
const files = order.comparesFiles ? new SharedFiles() : undefined;
const deadline = AbortSignal.timeout(order.deadlineMs);
const startedAt = performance.now();
const progress = { waiting: members.length, booting: 0, booted: 0, failed: 0, bytes: 0 };
let isOver = false;

const carrying = cable.run(() => isOver);
const ticking = setInterval(() => {
  const ms = Math.round(performance.now() - startedAt);
  say({ progress: { ...progress, ms, framesIn: cable.received } });
}, 500);
await Promise.all(
  members.map(async (member) => {
    const link = new CableLink(cable, member.board.mac, order.server);
    await sleep((fnv1a(`${seed} power ${member.board.serial}`) / 2 ** 32) * order.staggerMs);
    progress.waiting -= 1;
    progress.booting += 1;
    const node = await livePi({
      ...{ member, seed, link, files, deadline, restarts: order.restarts, timeScale: order.timeScale },
      report: (event) => {
        if (event.kind === 'file' && event.outcome === 'read') progress.bytes += event.size;
      },
    });
    progress.booting -= 1;
    progress[node.outcome] += 1;
    say({ node });
  }),
);
const elapsedMs = Math.round(performance.now() - startedAt);
isOver = true;
clearInterval(ticking);
await carrying;
const { user, system } = process.cpuUsage();
say({
  wire: {
    elapsedMs,
    framesIn: cable.received,
    framesOut: cable.sent,
    overrun: socket.statistics().dropped,
    longestPauseMs: Math.round(cable.longestPauseMs),
    cpuSeconds: (user + system) / 1e6,
  },
});
socket.close();
// Boots that were given up at the deadline still wait for this and that.
process.stdout.end(() => process.exit());

function say(line: FleetLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
