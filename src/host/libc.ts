import koffi, { type LibraryHandle } from 'koffi';

type Bytes = Uint8Array;
/** Of memory outside of JavaScript; those of user space fit in 47 bits, so that a number holds them exactly. */
type Address = number | bigint;

/**
 * The calls of the C library that Node has nothing for, as they are on 64-bit Linux. Those that fail give -1 and leave
 * the reason in koffi's errno; an address of -1 is mmap's failure.
 */
interface Libc {
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Bytes, length: number): number;
  setsockopt(fd: number, level: number, name: number, value: Bytes, length: number): number;
  getsockopt(fd: number, level: number, name: number, value: Bytes, length: Bytes): number;
  recv(fd: number, buffer: Bytes, length: number, flags: number): number;
  recvmmsg(fd: number, messages: Address, count: number, flags: number, timeout: Address): number;
  sendmmsg(fd: number, messages: Address, count: number, flags: number): number;
  poll(fds: Address, count: number, timeoutMs: number): number;
  read(fd: number, buffer: Bytes, length: number): number;
  write(fd: number, buffer: Bytes, length: number): number;
  close(fd: number): number;
  ioctl(fd: number, request: number, argument: Bytes): number;
  if_nametoindex(name: string): number;
  eventfd(initial: number, flags: number): number;
  mmap(at: null, length: number, protection: number, flags: number, fd: number, offset: number): bigint;
  munmap(address: Address, length: number): number;
  madvise(address: Address, length: number, advice: number): number;
  mallopt(parameter: number, value: number): number;
  malloc_trim(pad: number): number;
}

const DECLARATIONS: Readonly<Record<keyof Libc, string>> = {
  socket: 'int socket(int, int, int)',
  bind: 'int bind(int, const void *, uint32)',
  setsockopt: 'int setsockopt(int, int, int, const void *, uint32)',
  getsockopt: 'int getsockopt(int, int, int, void *, void *)',
  recv: 'int64 recv(int, void *, size_t, int)',
  recvmmsg: 'int recvmmsg(int, uintptr_t, uint32, int, uintptr_t)',
  sendmmsg: 'int sendmmsg(int, uintptr_t, uint32, int)',
  poll: 'int poll(uintptr_t, uint64, int)',
  read: 'long read(int, _Out_ uint8_t *, size_t)',
  write: 'long write(int, const void *, size_t)',
  close: 'int close(int)',
  ioctl: 'int ioctl(int, unsigned long, void *)',
  if_nametoindex: 'uint32 if_nametoindex(const char *)',
  eventfd: 'int eventfd(uint32, int)',
  mmap: 'void *mmap(void *, size_t, int, int, int, int64)',
  munmap: 'int munmap(uintptr_t, size_t)',
  madvise: 'int madvise(uintptr_t, size_t, int)',
  mallopt: 'int mallopt(int, int)',
  malloc_trim: 'int malloc_trim(size_t)',
};

/** Each is bound when it is first used: a program that wants two of them does not wait for all (6 ms). */
export const libc = bindLazily(koffi.load(null));

function bindLazily(library: LibraryHandle): Libc {
  const bound = {};
  for (const [name, declaration] of Object.entries(DECLARATIONS)) {
    const bind = () => {
      const value = library.func(declaration);
      Object.defineProperty(bound, name, { value });
      return value;
    };
    Object.defineProperty(bound, name, { configurable: true, get: bind });
  }
  return bound as Libc;
}
