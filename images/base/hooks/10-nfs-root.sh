#!/bin/sh -eu
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
