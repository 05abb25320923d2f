import type { Ipv4 } from '../net/ipv4.ts';
import { allocateMemory, mapFile } from './native-memory.ts';
import { closeDescriptor, openUdpDescriptor } from './udp.ts';
import { openWake } from './wake.ts';

/** A burst of a whole rack, as far as net.core.{rmem,wmem}_max allow. */
const BUFFER_BYTES = 4 * 2 ** 20;

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
        const bound = { interface: name, port: 0, bufferBytes: BUFFER_BYTES };
        const fd = openUdpDescriptor(address === undefined ? bound : { ...bound, address });
        return { fd, close: () => closeDescriptor(fd) };
      },
    },
  };
}
