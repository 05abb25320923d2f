# What a PC's boot loader fetches.
install -m 644 "$ROOT"/boot/vmlinuz-* boot/vmlinuz
mv boot/initramfs8 boot/initrd.img
