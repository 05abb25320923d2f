#!/bin/sh
# enter.sh STEP: runs steps/STEP.sh as root of a mount and pid namespace made for it alone (isolation.ts), so that
# whatever is mounted or started here ends with it, even by kill -9. All the environment there is: $WORK the work folder,
# $ROOT the root being built in it, $RECIPE the image's folder, and what the plan gives the step.
set -eu
step=$1
steps=$(dirname "$0")
export HOME=/nonexistent DEBIAN_FRONTEND=noninteractive SYSTEMD_OFFLINE=1

# A handler opened with F (fix-binary) also serves inside the chroot, where its path does not exist. Some kernels drop
# handlers with the last mount of binfmt_misc, so every step makes sure.
register_emulator() {
  binfmt=/proc/sys/fs/binfmt_misc
  # Not by mountpoint(1): this /proc is new, and util-linux 2.41 (Debian 13) finds the mount below the old one.
  [ -e $binfmt/register ] || mount -t binfmt_misc binfmt_misc $binfmt || return 1
  ! grep -qs '^flags:.*F' $binfmt/qemu-aarch64 $binfmt/netboot-aarch64 || return 0
  [ ! -e $binfmt/netboot-aarch64 ] || echo -1 >$binfmt/netboot-aarch64
  # ELF, 64 bit, little endian, type EXEC or DYN, machine 183 (AArch64).
  magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
  mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
  printf '%s' ":netboot-aarch64:M::$magic:$mask:$(command -v qemu-aarch64-static):F" >$binfmt/register
}
[ "$(uname -m)" = aarch64 ] || register_emulator || {
  echo 'binfmt_misc has no handler for arm64 programs and none could be registered' >&2
  exit 1
}

# A /proc, /sys and /dev of its own: nothing in the chroot sees the host's devices or run-time files.
if [ -d "$ROOT/usr" ]; then
  mount -t proc proc "$ROOT/proc"
  mount -t sysfs -o ro sysfs "$ROOT/sys"
  mount -t tmpfs -o mode=755,size=1M dev "$ROOT/dev"
  for node in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "$ROOT/dev/${node%:*}" c 1 "${node#*:}"
  done
  ln -s /proc/self/fd "$ROOT/dev/fd"
  mount -t tmpfs -o mode=1777 tmp "$ROOT/tmp"
  mount -t tmpfs -o mode=755 run "$ROOT/run"
fi

cd "$WORK"
. "$steps/$step.sh"
