import koffi from 'koffi';

const EFD_CLOEXEC_NONBLOCK = 0o2000000 | 0o4000;

interface WakeCalls {
  eventfd(initial: number, flags: number): number;
  read(fd: number, buffer: Uint8Array, length: number): number;
  write(fd: number, buffer: Uint8Array, length: number): number;
  close(fd: number): number;
}

let calls: WakeCalls | undefined;

function libc(): WakeCalls {
  if (calls) return calls;
  const library = koffi.load(null);
  calls = {
    eventfd: library.func('int eventfd(uint32, int)'),
    read: library.func('long read(int, _Out_ uint8_t *, size_t)'),
    write: library.func('long write(int, const void *, size_t)'),
    close: library.func('int close(int)'),
  } as WakeCalls;
  return calls;
}

/** Wakes a thread that waits in poll(2): a descriptor that is ready to be read after {@link wake}. */
export interface Wake {
  readonly fd: number;
  wake(): void;
  close(): void;
}

/** @throws Error when there is no descriptor left. */
export function openWake(): Wake {
  const { eventfd, write, close } = libc();
  const fd = eventfd(0, EFD_CLOEXEC_NONBLOCK);
  if (fd < 0) throw new Error(`eventfd: error ${koffi.errno()}`);
  const one = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);
  return { fd, wake: () => void write(fd, one, 8), close: () => void close(fd) };
}

/** Makes the descriptor wait for the next {@link Wake.wake}. */
export function drainWake(fd: number): void {
  libc().read(fd, new Uint8Array(8), 8);
}
