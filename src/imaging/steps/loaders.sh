# $OUT: what machines that are no Pis need beside kernel and initramfs. $LOADERS, $ARCH. A boot loader is for the machine's
# firmware and not for the root: its package is unpacked here and not installed.
for loader in $LOADERS; do
  case $loader in
    ipxe)
      dpkg -x "$DEBS"/fetch/ipxe_*.deb ipxe
      case $ARCH in
        amd64) set -- undionly.kpxe snponly.efi ;;
        *) set -- ipxe-arm64.efi ;;
      esac
      for program in "$@"; do
        [ -e "ipxe/usr/lib/ipxe/$program" ] || {
          echo "the ipxe package of this Debian has no $program: build from trixie or newer" >&2
          exit 1
        }
        install -m 644 "ipxe/usr/lib/ipxe/$program" "$OUT/"
      done
      ;;
    u-boot)
      # U-Boot itself is the board's; it unpacks no kernel unless its environment says where to.
      set -- "$ROOT"/boot/vmlinuz-*
      gzip -dc <"$1" >"$OUT/vmlinuz" 2>/dev/null || cp "$1" "$OUT/vmlinuz"
      chmod 644 "$OUT/vmlinuz"
      ;;
  esac
done
