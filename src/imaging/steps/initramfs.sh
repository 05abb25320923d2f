# Once, for the one kernel, after the recipe has had its say.
set -- "$ROOT"/lib/modules/*
[ $# -eq 1 ] || { echo "there must be one kernel in the image, found: $*" >&2; exit 1; }
version=$(basename "$1")
# Native where the host has kmod: under emulation indexing 4,000 compressed modules takes a minute.
if command -v depmod >/dev/null; then depmod --basedir "$ROOT" "$version"; else chroot "$ROOT" depmod "$version"; fi
chroot "$ROOT" mkinitramfs -o /tmp/initramfs8 "$version"
mkdir -p boot
install -m 644 "$ROOT/tmp/initramfs8" boot/initramfs8
