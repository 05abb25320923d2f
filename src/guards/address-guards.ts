import { AddressProbe } from '../dhcp/address-probe.ts';
import type { DhcpSocket } from '../dhcp/server.ts';
import { NeighbourPins } from '../host/neighbour-pins.ts';
import { reachableNeighbour } from '../host/neighbours.ts';
import type { Run } from '../model/command.ts';
import type { LeaseReader } from '../model/lease.ts';
import type { Log } from '../model/log.ts';
import type { Ipv4 } from '../net/ipv4.ts';
import type { Mac } from '../net/mac.ts';

const DISCARD_PORT = 9;

/** Guards for the addresses that are given away: nobody gets one in use, and a Pi 3 keeps the one it transfers with. */
export interface AddressGuards {
  readonly probe: AddressProbe;
  readonly onPi3: (pi: { address: Ipv4; mac: Mac; interface: string }) => void;
  stop(): Promise<void>;
}

export function guardAddresses({
  sockets,
  leases,
  run,
  log,
}: {
  sockets: readonly DhcpSocket[];
  leases: LeaseReader;
  run: Run;
  log: Log;
}): AddressGuards {
  const pins = new NeighbourPins({ run, leases, log, now: Date.now });
  return {
    probe: new AddressProbe({
      // To the discard port (RFC 863): whether anybody listens there is all the same, the kernel has to find the machine first.
      provoke: (address, network) =>
        sockets
          .find((each) => each.interface === network)
          ?.socket.send(Uint8Array.of(0), DISCARD_PORT, address, () => {}),
      neighbour: (address, network) => reachableNeighbour(run, address, network),
      now: Date.now,
    }),
    onPi3: (pi) => void pins.pin(pi),
    stop: () => pins.stop(),
  };
}
