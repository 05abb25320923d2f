#!/bin/sh
# enter.sh SCRIPT [ARGUMENT…]: runs SCRIPT.sh as root of namespaces made for it alone (isolation.ts), so that whatever is
# mounted or started here ends with it, even by kill -9. All the environment there is: what step.ts tells, and from the
# engine $LOWER, $UPPER and $OVERLAY_WORK (the layers below the root, where changes go), $NETWORK, $EMULATE.
set -eu
step=$1
shift
cd "$WORK"
umask 022
export HOME=/nonexistent DEBIAN_FRONTEND=noninteractive SYSTEMD_OFFLINE=1
hostname netboot-build

# From here on nothing of the host can be written but the build's own folder, wherever a link in an image may lead.
own=$(realpath "$WORK/../..")
mount --rbind "$own" "$own"
mount -o remount,bind,ro /
cd "$WORK"

# A handler opened with F (fix-binary) also serves inside the chroot, where its path does not exist. Some kernels drop
# handlers with the last mount of binfmt_misc, so every step makes sure. $1 what it runs, $2 ELF class, $3 ELF machine.
register_emulator() {
  binfmt=/proc/sys/fs/binfmt_misc
  # Not by mountpoint(1): this /proc is new, and util-linux 2.41 (Debian 13) finds the mount below the old one.
  [ -e $binfmt/register ] || mount -t binfmt_misc binfmt_misc $binfmt || return 1
  ! grep -qs '^flags:.*F' "$binfmt/qemu-$1" "$binfmt/netboot-$1" || return 0
  [ ! -e "$binfmt/netboot-$1" ] || echo -1 >"$binfmt/netboot-$1"
  # ELF, little endian, type EXEC or DYN.
  magic="\\x7fELF\\x0$2\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\x$3\\x00"
  mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
  printf '%s' ":netboot-$1:M::$magic:$mask:$(command -v "qemu-$1-static"):F" >"$binfmt/register"
}
case ${EMULATE:-} in
  aarch64) register_emulator aarch64 2 b7 ;;
  # Some 64-bit ARM cores run 32-bit programs; on others the kernel refuses the personality.
  arm) [ "$(uname -m)" = aarch64 ] && setarch linux32 true 2>/dev/null || register_emulator arm 1 28 ;;
esac || {
  echo "binfmt_misc has no handler for $EMULATE programs and none could be registered" >&2
  exit 1
}

# Relative paths by way of short links: all options of a mount have to fit one page. By mount(2), as a parameter of the
# newer calls ends at 256 bytes. Volatile: nothing that a program asks to be flushed is (dpkg asks a thousand times); what a
# step made is flushed when it is committed, and gone when it is not.
if [ -n "${LOWER:-}" ]; then
  LIBMOUNT_FORCE_MOUNT2=always mount -t overlay overlay "$ROOT" -o \
    "lowerdir=$LOWER,upperdir=$UPPER,workdir=$OVERLAY_WORK,redirect_dir=on,metacopy=off,index=off,xino=off,volatile"
fi
if [ -d "${INPUT:-}" ]; then
  mount --bind "$INPUT" "$INPUT"
  mount -o remount,bind,ro "$INPUT"
fi

# A /proc, /sys, /dev, /tmp and /run of the root's own: nothing in it sees the host's devices or run-time files.
furnish() {
  [ ! -d "$ROOT/proc" ] || mount -t proc proc "$ROOT/proc"
  [ ! -d "$ROOT/sys" ] || mount -t sysfs -o ro sysfs "$ROOT/sys"
  [ ! -d "$ROOT/tmp" ] || mount -t tmpfs -o mode=1777 tmp "$ROOT/tmp"
  [ ! -d "$ROOT/run" ] || mount -t tmpfs -o mode=755 run "$ROOT/run"
  [ -d "$ROOT/dev" ] || return 0
  mount -t tmpfs -o mode=755,size=1M dev "$ROOT/dev"
  for node in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "$ROOT/dev/${node%:*}" c 1 "${node#*:}"
  done
  mknod -m 666 "$ROOT/dev/tty" c 5 0
  mkdir "$ROOT/dev/shm" "$ROOT/dev/pts"
  mount -t tmpfs -o mode=1777 shm "$ROOT/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=666 devpts "$ROOT/dev/pts"
  ln -s pts/ptmx "$ROOT/dev/ptmx"
  ln -s /proc/self/fd "$ROOT/dev/fd"
  for number in 0:stdin 1:stdout 2:stderr; do ln -s "fd/${number%:*}" "$ROOT/dev/${number#*:}"; done
  [ -z "${NETWORK:-}" ] || lend_resolver
}

# The host's resolv.conf, whatever the root has there: nothing, a file, or a link into /run.
lend_resolver() {
  target=$(chroot_path etc/resolv.conf)
  [ -e "$ROOT/$target" ] || {
    mkdir -p "$(dirname "$ROOT/$target")"
    : >"$ROOT/$target"
    case $target in run/* | tmp/* | dev/*) ;; *) lent_file=$ROOT/$target ;; esac
  }
  cp --dereference /etc/resolv.conf "$WORK/resolv.conf" 2>/dev/null || : >"$WORK/resolv.conf"
  mount --bind "$WORK/resolv.conf" "$ROOT/$target"
  lent_mount=$ROOT/$target
}
lent_file='' lent_mount=''

# Where a path of the root leads to, links followed as inside of it, without the leading slash.
chroot_path() {
  path=$1
  for _ in 1 2 3 4 5; do
    [ -L "$ROOT/$path" ] || break
    link=$(readlink "$ROOT/$path")
    case $link in /*) path=${link#/} ;; *) path=$(dirname "$path")/$link ;; esac
    path=$(realpath --canonicalize-missing --no-symlinks "/$path")
    path=${path#/}
  done
  printf '%s\n' "$path"
}

unfurnish() {
  if [ -n "$lent_mount" ]; then umount "$lent_mount"; fi
  if [ -n "$lent_file" ]; then rm -f "$lent_file"; fi
  lent_file='' lent_mount=''
  for folder in dev/pts dev/shm dev run tmp sys proc; do
    ! is_mounted "$ROOT/$folder" || umount "$ROOT/$folder"
  done
}
is_mounted() { awk -v path="$1" '$5 == path { found = 1 } END { exit !found }' /proc/self/mountinfo; }

# A program inside the root, with nothing of the host's environment.
in_root() {
  chroot "$ROOT" /usr/bin/env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive SYSTEMD_OFFLINE=1 \
    ${SOURCE_DATE_EPOCH:+SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH"} "$@"
}

# Installing must start no daemon. What the root itself has there stays.
keep_services_down() {
  [ -d "$ROOT/usr/sbin" ] && [ ! -e "$ROOT/usr/sbin/policy-rc.d" ] || return 0
  printf '#!/bin/sh\nexit 101\n' >"$ROOT/usr/sbin/policy-rc.d"
  chmod 755 "$ROOT/usr/sbin/policy-rc.d"
  services_kept_down=yes
}
services_kept_down=''
let_services_start() {
  if [ -n "$services_kept_down" ]; then rm -f "$ROOT/usr/sbin/policy-rc.d"; fi
  services_kept_down=''
}

# All below a folder of $INPUT laid over the root: owner root, every time the build's. Links of the root are followed only
# where they stay in it: /var/run leads out of it, as seen from here.
lay_over_root() {
  [ -d "$INPUT/$1" ] || return 0
  (cd "$INPUT/$1" && find . -type d) | while read -r folder; do stay_in_root "${folder#.}"; done
  tar -C "$INPUT/$1" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --create . |
    tar -C "$ROOT" --extract --no-overwrite-dir --keep-directory-symlink --same-permissions
}

stay_in_root() {
  real=$(realpath --canonicalize-missing "$ROOT$1")
  case $real/ in "$ROOT"/*) return 0 ;; esac
  echo "$1 is a link in the image and leads to $real: name the place it leads to" >&2
  return 1
}

case $step in
  hook | packages | initramfs | boot-tree | loaders) furnish ;;
esac
. "$LIB/$step.sh"
cd "$WORK"
let_services_start
unfurnish
