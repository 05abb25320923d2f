# What is of one build, one appliance or one node does not belong in an image that all share.
rm -f "$ROOT/usr/sbin/policy-rc.d"
for program in update-initramfs depmod; do
  rm -f "$ROOT/usr/sbin/$program"
  dpkg-divert --root "$ROOT" --local --rename --remove "/usr/sbin/$program"
done
rm -f "$ROOT"/etc/ssh/ssh_host_* "$ROOT/etc/apt/apt.conf.d/99mmdebstrap"
rm -f "$ROOT/etc/apt/sources.list"
rm -rf "$ROOT"/var/lib/apt/lists/* "$ROOT"/var/cache/apt/*.bin "$ROOT"/var/cache/debconf/*-old
find "$ROOT/var/log" -type f -delete
rm -f "$ROOT"/var/lib/dpkg/*-old "$ROOT"/etc/*-
rm -f "$ROOT/var/lib/systemd/random-seed"
# shellcheck disable=SC2016
dpkg-query --admindir="$ROOT/var/lib/dpkg" -W -f '${Package} ${Version}\n' >packages.txt
