#!/bin/sh
# Installs the Debian packages a group of tasks needs, and only those that are missing:
#   need.sh serve     the service: NFS, mounts
#   need.sh build     building images
#   need.sh lab       racks of virtual Pis
#   need.sh test      foreign clients and servers for the tests
#   need.sh bench     the peers that netboot is measured beside, and their load
# Freshly installed daemons are kept from starting, now and at the next boot: netboot starts what it needs, where it
# needs it.
set -eu

packages=
for group in "$@"; do
  case $group in
    serve) packages="$packages iproute2 util-linux e2fsprogs rpcbind nfs-ganesha nfs-ganesha-vfs openssh-client" ;;
    kernel-nfs) packages="$packages iproute2 util-linux e2fsprogs nfs-kernel-server openssh-client" ;;
    build)
      packages="$packages apt dpkg perl squashfs-tools debian-archive-keyring zstd util-linux kmod cpio e2fsprogs"
      # Units, users and file capabilities of a root, natively.
      packages="$packages systemd passwd libcap2-bin"
      # Importing disk images.
      packages="$packages fdisk e2fsprogs mtools xz-utils"
      # An arm64 machine runs the image's programs itself.
      [ "$(dpkg --print-architecture)" = arm64 ] || packages="$packages qemu-user-static binfmt-support"
      ;;
    lab) packages="$packages iproute2 util-linux qemu-system-arm curl" ;;
    test)
      packages="$packages tftp-hpa libnfs-utils dnsmasq-base isc-dhcp-client udhcpc openssh-client"
      packages="$packages busybox atftp dhcpcd-base mmdebstrap arch-test gnupg"
      packages="$packages nfs-kernel-server tshark shellcheck systemd systemd-container curl squashfs-tools procps"
      packages="$packages mtools dosfstools openssl"
      # Firmware and boot loaders that were not written here.
      packages="$packages qemu-system-x86 ipxe-qemu ovmf qemu-efi-aarch64 u-boot-qemu file"
      ;;
    bench) packages="$packages mmdebstrap arch-test iproute2 util-linux squashfs-tools dnsmasq-base tftpd-hpa kea-dhcp4-server kea-admin" ;;
    *) echo "need.sh: no such group: $group" >&2; exit 2 ;;
  esac
done

missing=
for package in $packages; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "These Debian packages are missing:$missing. Install them, or run this as root." >&2
  exit 1
fi
echo "Installing Debian packages:$missing"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT INT TERM
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
# shellcheck disable=SC2086 # a list of package names
if ! { apt-get -q update && apt-get -qy install --no-install-recommends $missing; } > "$log" 2>&1; then
  tail -n 20 "$log" >&2
  rm -f "$log"
  echo "The Debian packages could not be installed: see above. Is the machine's apt configured and on-line?" >&2
  exit 1
fi
rm -f "$log"
case $missing in
  *nfs-ganesha*) [ ! -x /bin/systemctl ] || systemctl --quiet disable nfs-ganesha nfs-ganesha-lock ;;
esac
case $missing in
  *kea-dhcp4-server*) [ ! -x /bin/systemctl ] || systemctl --quiet disable kea-dhcp4-server ;;
esac
case $missing in
  *tftpd-hpa*) [ ! -x /bin/systemctl ] || systemctl --quiet disable tftpd-hpa ;;
esac
