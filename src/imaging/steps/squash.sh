# The root without /boot, which is served over TFTP.
umount "$ROOT/run" "$ROOT/tmp" "$ROOT/dev" "$ROOT/sys" "$ROOT/proc"
rm -f root.squashfs
mksquashfs "$ROOT" root.squashfs -noappend -no-progress -comp zstd -Xcompression-level 6 -wildcards \
  -e 'boot/*' -e 'usr/lib/linux-image-*' -e 'usr/lib/raspi-firmware'
chmod 644 root.squashfs
