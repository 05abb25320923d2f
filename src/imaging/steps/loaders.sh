# What machines that are no Pis need beside kernel and initramfs, into the boot tree. $LOADERS, $ARCH. Before clean.sh takes
# apt's sources away. A boot loader is for the machine's firmware and not for the root: its package is not installed.
export APT_CONFIG=$WORK/apt.conf
mkdir -p boot

for loader in $LOADERS; do
  case $loader in
    ipxe)
      apt-get download ipxe
      dpkg -x ipxe_*.deb ipxe
      case $ARCH in
        amd64) set -- undionly.kpxe snponly.efi ;;
        *) set -- ipxe-arm64.efi ;;
      esac
      for program in "$@"; do
        [ -e "ipxe/usr/lib/ipxe/$program" ] || {
          echo "the ipxe package of this Debian has no $program: build from trixie or newer" >&2
          exit 1
        }
        install -m 644 "ipxe/usr/lib/ipxe/$program" boot/
      done
      ;;
    u-boot)
      # U-Boot itself is the board's; it unpacks no kernel unless its environment says where to.
      install -m 644 "$ROOT"/boot/vmlinuz-* boot/vmlinuz
      ;;
  esac
done
