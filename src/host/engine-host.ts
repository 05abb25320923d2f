import type { Ipv4 } from '../net/ipv4.ts';
import { allocateMemory, mapFile } from './native-memory.ts';
import { BURST_BYTES, closeDescriptor, openUdpDescriptor } from './udp.ts';
import { openWake } from './wake.ts';

/**
 * What engines in threads of their own need of this machine: sockets as bare descriptors, bound to the interface and to
 * the address that a client asked, memory that the kernel sends from, and a way to be woken.
 */
export function engineHost(addressOf: (interfaceName: string) => Ipv4 | undefined) {
  return {
    openWake,
    memory: { allocateMemory, mapFile },
    transferSockets: {
      addressOf,
      open(name: string) {
        const address = addressOf(name);
        const bound = { interface: name, port: 0, bufferBytes: BURST_BYTES };
        const fd = openUdpDescriptor(address === undefined ? bound : { ...bound, address });
        return { fd, close: () => closeDescriptor(fd) };
      },
    },
  };
}
