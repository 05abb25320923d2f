// Linux's numbers, the same on amd64 and arm64.
const EIO = 5;
const EINVAL = 22;
const EMSGSIZE = 90;

/** What a system call was pointed at cannot be read: a page of a mapped file is gone. */
export const EFAULT = 14;

/** Whether the kernel or the device cannot cut datagrams of this size: the blocks are to be sent one by one. */
export function isSegmentError(errno: number): boolean {
  return errno === EIO || errno === EINVAL || errno === EMSGSIZE;
}
