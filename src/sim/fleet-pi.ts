import { setTimeout as sleep } from 'node:timers/promises';
import { fnv1a } from '../net/fnv1a.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import type { CableLink } from './cable-link.ts';
import { bootBoard } from './firmware.ts';
import type { FirmwareEvent } from './firmware-event.ts';
import { FirmwareWire } from './firmware-wire.ts';
import type { FleetMember } from './fleet-boards.ts';
import type { FleetNode } from './fleet-report.ts';
import type { SharedFiles } from './shared-files.ts';
import { CollectedBlocks } from './tftp-client.ts';
import { FirmwareFailure, type Handover } from './wire.ts';

/** A Pi 4 or 5 whose network boot failed tries the other modes of its boot order, then begins anew (0xf21). */
const BOOT_ORDER_MS = 3_000;

export interface PowerOn {
  readonly member: FleetMember;
  readonly seed: number;
  readonly link: CableLink;
  readonly files: SharedFiles | undefined;
  /** How often the boot order is begun anew before the Pi counts as failed. */
  readonly restarts: number;
  readonly timeScale: number;
  /** The Pi counts as failed when it is aborted. */
  readonly deadline: AbortSignal;
  /** Bytes of files as they come in, for the progress. */
  readonly report?: (event: FirmwareEvent) => void;
}

/** One Pi from power-on to its kernel, or to its end: a Pi 3 that fails stays dead until its power is cycled. */
export async function livePi(order: PowerOn): Promise<FleetNode> {
  const { member, link, files, timeScale, deadline } = order;
  const { board, generation } = member;
  const startedAt = performance.now();
  const counts = { bytes: 0, requests: 0, misses: 0, resentRrqs: 0, duplicateBlocks: 0 };
  let asked = 0;
  let exchanges = 0;
  let address: Ipv4 | undefined;

  const note = (event: FirmwareEvent) => {
    if (event.kind === 'discover' || event.kind === 'request') asked += 1;
    if (event.kind === 'address') {
      address = event.address;
      exchanges += event.isAcknowledged ? 2 : 1;
    }
    if (event.kind === 'file') {
      counts.requests += 1;
      if (event.outcome === 'missing') counts.misses += 1;
      if (event.outcome === 'read') counts.bytes += event.size;
    }
    order.report?.(event);
  };

  // One for all attempts: the source ports of a new one are not those of a transfer the server has not given up yet.
  const wire = new FirmwareWire(link, {
    report: note,
    timeScale,
    repeated: ({ resends, duplicates }) => {
      counts.resentRrqs += resends;
      counts.duplicateBlocks += duplicates;
    },
    sink: (path) => files?.sink(path, board.serial) ?? new CollectedBlocks(),
  });
  const attempt = (nth: number): Promise<Handover> => {
    const xid = fnv1a(`${order.seed} ${board.serial} ${nth}`);
    return Promise.race([bootBoard(wire, board, xid), expired(deadline)]);
  };

  const ended = (how: Pick<FleetNode, 'outcome' | 'reason' | 'kernel'>, failures: string[]): FleetNode => {
    const { toStation, toWire } = link.plug;
    return {
      serial: board.serial,
      mac: board.mac,
      generation,
      ...how,
      bootMs: Math.round(performance.now() - startedAt),
      ...(address ? { address } : {}),
      ...counts,
      resentDhcp: Math.max(0, asked - exchanges),
      restarts: failures.length - (how.outcome === 'failed' ? 1 : 0),
      failures: how.outcome === 'failed' ? failures.slice(0, -1) : failures,
      faults: {
        lost: toStation.lost + toWire.lost,
        doubled: toStation.doubled + toWire.doubled,
        heldBack: toStation.heldBack + toWire.heldBack,
        fingerprint: `${toStation.faults.fingerprint}${toWire.faults.fingerprint}`,
      },
    };
  };

  const failures: string[] = [];
  while (true) {
    try {
      const { kernel } = await attempt(failures.length);
      return ended({ outcome: 'booted', kernel: kernel.name }, failures);
    } catch (error) {
      if (!(error instanceof FirmwareFailure)) throw error;
      failures.push(error.message);
      const isOver = board.model === 'pi3' || failures.length > order.restarts || deadline.aborted;
      if (isOver) return ended({ outcome: 'failed', reason: error.message }, failures);
      await sleep(BOOT_ORDER_MS * timeScale);
    }
  }
}

function expired(deadline: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () => reject(new FirmwareFailure('not booted when the time for the whole fleet was over'));
    if (deadline.aborted) fail();
    else deadline.addEventListener('abort', fail, { once: true });
  });
}
