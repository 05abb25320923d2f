# $OUT: kernel, device trees and the firmware's own files, as Pis fetch them; for a PC the kernel. $KERNEL, what the kernel is
# to be called; $ARCH; $FIRMWARE, which builds of start.elf, by what stands behind "start" ("-" for nothing).
set -- "$ROOT"/boot/vmlinuz-*
[ $# -eq 1 ] && [ -e "$1" ] || {
  echo "there must be one kernel in the image, found: $(cd "$ROOT/boot" && ls)" >&2
  exit 1
}
kernel=$1
if [ "$ARCH" = amd64 ]; then
  install -m 644 "$kernel" "$OUT/$KERNEL"
  return
fi

# An arm64 kernel does not unpack itself. The firmware unpacks gzip and nothing else, QEMU as well; a third of the bytes.
is_packed() { [ "$(head -c 2 "$1" | od -An -tx1)" = ' 1f 8b' ]; }
if [ "$ARCH" = armhf ] || is_packed "$kernel"; then
  install -m 644 "$kernel" "$OUT/$KERNEL"
else
  gzip -n -9 <"$kernel" >"$OUT/$KERNEL"
fi

firmware=$ROOT/usr/lib/raspi-firmware
if [ -d "$firmware" ]; then
  for file in "$firmware"/*; do
    name=$(basename "$file")
    case $name in
      start*.elf | fixup*.dat)
        build=${name#start} build=${build#fixup} build=${build%.*} build=${build#4} build=${build#_}
        case " $FIRMWARE " in *" ${build:--} "*) ;; *) continue ;; esac
        ;;
      *.dtb) continue ;;
    esac
    cp -R "$file" "$OUT/"
  done
fi
for folder in "$ROOT"/usr/lib/linux-image-*; do
  for file in "$folder"/bcm27*.dtb "$folder"/bcm2836*.dtb "$folder"/bcm2837*.dtb "$folder"/broadcom/bcm27*.dtb \
    "$folder"/broadcom/bcm2836*.dtb "$folder"/broadcom/bcm2837*.dtb; do
    [ ! -e "$file" ] || cp "$file" "$OUT/"
  done
done
chmod -R u=rwX,go=rX "$OUT"

# A Pi 3 reads blocks of 512 bytes and cannot count past block 65535.
find "$OUT" -type f -size +32767k | while read -r file; do
  echo "${file#"$OUT/"} is 32 MiB or more: too big for a Pi 3 to fetch" >&2
  exit 1
done
