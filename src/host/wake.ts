import koffi from 'koffi';
import { libc } from './libc.ts';

const EFD_CLOEXEC_NONBLOCK = 0o2000000 | 0o4000;

/** Wakes a thread that waits in poll(2): a descriptor that is ready to be read after {@link wake}. */
export interface Wake {
  readonly fd: number;
  wake(): void;
  close(): void;
}

/** @throws Error when there is no descriptor left. */
export function openWake(): Wake {
  const { eventfd, write, close } = libc;
  const fd = eventfd(0, EFD_CLOEXEC_NONBLOCK);
  if (fd < 0) throw new Error(`eventfd: error ${koffi.errno()}`);
  const one = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);
  return { fd, wake: () => void write(fd, one, 8), close: () => void close(fd) };
}

/** Makes the descriptor wait for the next {@link Wake.wake}. */
export function drainWake(fd: number): void {
  libc.read(fd, new Uint8Array(8), 8);
}
