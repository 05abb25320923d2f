# Both partitions of a Pi's card, as found in a raw image: the system as the root, the firmware's partition in /boot/firmware,
# whatever the image calls it. $SOURCE, in it $BOOT_OFFSET, $ROOT_OFFSET and $ROOT_BYTES.

# Read-only by a loop device that goes with its mount, and that with this namespace. "noload": nothing is replayed.
mkdir card boot
mount -t ext4 -o "ro,noload,loop,offset=$ROOT_OFFSET,sizelimit=$ROOT_BYTES" "$SOURCE" card || {
  echo "the root file system of the image cannot be mounted: it is damaged, or made by a newer ext4 than this kernel knows" >&2
  exit 1
}
[ -e card/usr/bin/dpkg ] || {
  echo "the image's root partition holds no Debian system: it has no /usr/bin/dpkg" >&2
  exit 1
}

# By mtools: a FAT from outside need not meet the kernel's driver.
export MTOOLS_SKIP_CHECK=1 MTOOLSRC=/dev/null
mcopy -s -m -n -Q -i "$SOURCE@@$BOOT_OFFSET" '::*' boot/ || {
  echo "the boot partition of the image cannot be read: it is damaged" >&2
  exit 1
}
chmod -R u=rwX,go=rX boot

# In one go, so that hard links stay links across folders. What the kernel or a boot fills is left out.
(
  cd card || exit
  set --
  for entry in * .[!.]*; do
    case $entry in
      dev | lost+found | proc | run | sys | tmp | '.[!.]*') ;;
      *) set -- "$@" "$entry" ;;
    esac
  done
  cp --archive --sparse=always -- "$@" "$ROOT/"
)
mkdir -p "$ROOT/dev" "$ROOT/proc" "$ROOT/run" "$ROOT/sys" "$ROOT/tmp" "$ROOT/mnt"
chmod 1777 "$ROOT/tmp"
chown 0:0 "$ROOT"
chmod 755 "$ROOT"

# Device nodes, and sockets that nobody listens at any more.
find "$ROOT" -xdev \( -type b -o -type c -o -type s \) -print -delete | sed "s,^$ROOT,left out: ,"

# Later steps write natively below these: none may lead out of the root, on to this machine.
for folder in bin boot boot/firmware etc etc/NetworkManager etc/apt etc/cloud etc/cron.hourly etc/init.d etc/lightdm etc/rc0.d etc/rc1.d etc/rc2.d etc/rc3.d etc/rc4.d etc/rc5.d etc/rc6.d etc/rcS.d etc/rpi \
  etc/ssh etc/ssh/sshd_config.d etc/sudoers.d etc/systemd etc/systemd/system etc/xdg home lib media mnt opt root sbin srv usr \
  usr/bin usr/lib usr/lib/modules usr/lib/systemd usr/sbin usr/share var var/cache var/lib var/lib/apt var/lib/cloud \
  var/lib/dbus var/lib/dpkg var/lib/systemd var/log var/spool var/tmp; do
  case $(realpath --canonicalize-missing "$ROOT/$folder")/ in
    "$ROOT"/*) ;;
    *)
      echo "the image's /$folder is a link that leads out of it" >&2
      exit 1
      ;;
  esac
done

# Bullseye mounts the firmware's partition at /boot.
[ ! -L "$ROOT/boot" ] || rm "$ROOT/boot"
mkdir -p "$ROOT/boot"
[ ! -L "$ROOT/boot/firmware" ] || rm "$ROOT/boot/firmware"
mkdir -p "$ROOT/boot/firmware"
cp -R --preserve=mode,timestamps boot/. "$ROOT/boot/firmware/"

# A clock that was wrong is no reason for a time that squashfs cannot hold.
find "$ROOT" -xdev -type f -printf '%T@\n' | awk -F. '$1 > newest && $1 < 4294967296 { newest = $1 } END { printf "%d\n", newest }' >epoch
for folder in dev proc run sys tmp mnt boot boot/firmware ''; do touch --date="@$(cat epoch)" "$ROOT/$folder"; done

umount card
du -sh "$ROOT" | awk '{ print "the system takes " $1 }'
