# The image is the same for every node and every appliance, and it is read-only: /etc/hosts, /etc/resolv.conf and the
# SSH host key are links into /run/netboot, which this fills at boot.
umask 022
mkdir -p /run/netboot/ssh

appliance=
read -r cmdline </proc/cmdline
for word in $cmdline; do
  case $word in nfsroot=*:*) appliance=${word#nfsroot=} appliance=${appliance%%:*} ;; esac
done
read -r name </proc/sys/kernel/hostname
{
  echo '127.0.0.1 localhost'
  echo "127.0.1.1 $name"
  [ -z "$appliance" ] || echo "$appliance appliance"
} >/run/netboot/hosts

# The initramfs leaves what its DHCP exchange learnt in /run/net-<interface>.conf, in shell syntax.
for lease in /run/net-*.conf; do
  [ -r "$lease" ] || continue
  (
    . "$lease"
    [ -z "${DNSDOMAIN:-}" ] || echo "search $DNSDOMAIN"
    for server in "${IPV4DNS0:-}" "${IPV4DNS1:-}"; do
      case $server in '' | 0.0.0.0) ;; *) echo "nameserver $server" ;; esac
    done
  )
done >/run/netboot/resolv.conf

[ -e /run/netboot/ssh/ssh_host_ed25519_key ] ||
  ssh-keygen -q -t ed25519 -N '' -C "root@$name" -f /run/netboot/ssh/ssh_host_ed25519_key
