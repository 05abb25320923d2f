# What the firmware fetches: its own files, the kernel, the device trees, the overlays. The kernel is gzip-compressed, which
# both the firmware and QEMU unpack.
mkdir -p boot
set -- "$ROOT"/boot/vmlinuz-*
gzip -n -9 <"$1" >boot/kernel8.img
if [ -d "$ROOT/usr/lib/raspi-firmware" ]; then
  cp -r "$ROOT/usr/lib/raspi-firmware/." boot/
fi
cp "$ROOT"/usr/lib/linux-image-*/broadcom/bcm2[78]*-rpi-*.dtb boot/
chmod -R u=rwX,go=rX boot

# The Pi 3 reads blocks of 512 bytes and cannot count past block 65535.
find boot -type f -size +32767k | while read -r file; do
  echo "$file is 32 MiB or more: too big for a Pi 3 to fetch" >&2
  exit 1
done
