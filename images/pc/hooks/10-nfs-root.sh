# A root that is read-only, shared by many nodes and served over NFS.

# Per node, at run time (usr/lib/netboot/node.sh).
ln -sf /run/netboot/hosts /etc/hosts
ln -sf /run/netboot/resolv.conf /etc/resolv.conf
systemctl enable netboot-node.service

# The kernel command line says who the node is: systemd.hostname=, systemd.machine_id=.
echo node >/etc/hostname
: >/etc/machine-id
rm -f /var/lib/dbus/machine-id

# Nothing to log in with but a key.
passwd --lock root

# NFS mounts are made without locks (etc/nfsmount.conf), so nothing of NFS need run.
systemctl disable nfs-client.target rpcbind.service rpcbind.socket

# Renews the address that the kernel got (etc/systemd/network). Nothing waits for it: the network has been there since the
# root was mounted.
systemctl enable systemd-networkd.service
systemctl disable systemd-networkd-wait-online.service systemd-network-generator.service

# What has nothing to do on a node without a disk, or cannot do it on a read-only root. A boot is mostly small programs
# starting: every unit less is felt, and four times so on a virtual Pi.
systemctl mask \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
  e2scrub_all.timer e2scrub_reap.service fstrim.timer \
  systemd-random-seed.service systemd-machine-id-commit.service systemd-remount-fs.service \
  systemd-journal-flush.service systemd-pstore.service systemd-udev-load-credentials.service \
  getty-static.service proc-sys-fs-binfmt_misc.automount \
  dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount \
  sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount
# Without D-Bus there are no log-in sessions to manage.
[ -e /usr/bin/dbus-daemon ] || systemctl mask systemd-logind.service

# 13 MB of names for hardware, read over the network at every boot.
rm -f /usr/lib/udev/hwdb.bin

# Generators run before the first unit. These look for disks, old init scripts and servers that a node does not have, or, for
# ssh, for a vsock, and fail aloud on a virtual Pi.
mkdir -p /etc/systemd/system-generators
for generator in bless-boot gpt-auto hibernate-resume integritysetup veritysetup cryptsetup run ssh system-update sysv tpm2; do
  ln -sf /dev/null "/etc/systemd/system-generators/systemd-$generator-generator"
done
for generator in nfs-server rpc-pipefs; do
  ln -sf /dev/null "/etc/systemd/system-generators/$generator-generator"
done
# Empty, but a reason to run systemd-modules-load.
rm -f /etc/modules-load.d/modules.conf
# pam_env complains of its absence at every log-in.
: >/etc/default/locale

systemctl set-default multi-user.target
