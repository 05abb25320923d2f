#!/bin/sh
# Installs netboot as a systemd service on this machine, or updates it. Needs root. Safe to run again: the
# configuration, the nodes and the images that are there stay.
#   scripts/install.sh [--interface NAME] [--dhcp proxy|full]
# An interface is served only when you name it here, or in /etc/netboot/netboot.yaml.
set -eu
umask 022
cd "$(dirname "$0")/.."

lib=/usr/lib/netboot
config=/etc/netboot/netboot.yaml

fail() { echo "install: $*" >&2; exit 1; }
interface=
dhcp=
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || fail "usage: scripts/install.sh [--interface NAME] [--dhcp proxy|full]"
  case $1 in
    --interface) interface=$2 ;;
    --dhcp) dhcp=$2 ;;
    *) fail "usage: scripts/install.sh [--interface NAME] [--dhcp proxy|full]" ;;
  esac
  shift 2
done
[ "$(id -u)" -eq 0 ] || fail "it writes to /usr/lib and /etc: run it as root."
[ -d /run/systemd/system ] || fail "systemd does not run here: use \"netboot serve\" in the foreground instead."
command -v npm > /dev/null || fail "npm is missing. Install Node 20 or newer with npm: apt-get install npm"

# The kernel's NFS server where the kernel has one, else NFS-Ganesha.
if modprobe -n nfsd 2> /dev/null; then
  scripts/need.sh kernel-nfs build
  systemctl enable --now nfs-server
else
  scripts/need.sh serve build
fi

echo "Installing to $lib"
new=$lib.new
rm -rf "$new"
mkdir -p "$new"
cp -r package.json package-lock.json .npmrc src scripts images README.md LICENSE "$new/"
(cd "$new" && npm ci --omit=dev --no-audit --no-fund --silent) ||
  fail "npm could not fetch what package-lock.json names. See: npm ci, in $PWD"
# Root will run it: nobody else may write it, whoever owns the checkout.
chown -R root:root "$new"
chmod -R u=rwX,go=rX "$new"
# npm takes the pinned Node for optional: before the installation that works is replaced, see that this one does.
"$new/scripts/netboot" help > /dev/null || fail "the new installation does not start; the old one stays"
rm -rf "$lib.old"
[ ! -d $lib ] || mv $lib $lib.old
mv "$new" $lib
rm -rf "$lib.old"
ln -sf $lib/scripts/netboot /usr/bin/netboot
# Our recipes are renewed; those you put beside them stay.
mkdir -p /usr/share/netboot/images
for image in images/*/; do
  rm -rf "/usr/share/netboot/$image"
  cp -a "$lib/$image" "/usr/share/netboot/$image"
done
install -m 644 images/README.md images/image.schema.json /usr/share/netboot/images/

install -m 644 systemd/netboot.sysusers /usr/lib/sysusers.d/netboot.conf
install -m 644 systemd/netboot.tmpfiles /usr/lib/tmpfiles.d/netboot.conf
# Early in the order: what this machine's own files say of these limits stands.
install -D -m 644 systemd/netboot.sysctl /usr/lib/sysctl.d/10-netboot.conf
install -m 644 systemd/*.service /usr/lib/systemd/system/
systemd-sysusers netboot.conf
systemd-tmpfiles --create netboot.conf
/usr/lib/systemd/systemd-sysctl --prefix=/net/core/rmem_max --prefix=/net/core/wmem_max --prefix=/net/ipv4/neigh/default
systemctl daemon-reload

if [ -e $config ]; then
  echo "Keeping $config"
elif [ -n "$interface" ]; then
  netboot init --interface "$interface" ${dhcp:+--dhcp "$dhcp"}
else
  echo "No interface was named, so nothing is served yet. Next:"
  echo "  netboot init --interface NAME [--dhcp proxy|full]    (interfaces: ip -br address)"
  echo "  systemctl enable --now netboot-exports netboot"
  exit 0
fi
systemctl enable netboot-exports netboot
systemctl restart netboot-exports netboot
netboot status
echo "Next: netboot build-image web, then netboot add-node <serial>"
