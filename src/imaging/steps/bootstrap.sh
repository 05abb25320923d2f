# Debian's essential packages and apt. $SUITE, $ARCH, $COMPONENTS; $MIRROR, $SECURITY_MIRROR (may be empty).
set -- "deb $MIRROR $SUITE $COMPONENTS" "deb $MIRROR $SUITE-updates $COMPONENTS"
[ -z "$SECURITY_MIRROR" ] || set -- "$@" "deb $SECURITY_MIRROR $SUITE-security $COMPONENTS"

# No documentation on a node: never unpacked, by any later step either.
mmdebstrap --mode=root --format=directory --arch="$ARCH" --variant=minbase \
  --skip=cleanup/apt/lists \
  --aptopt='APT::Sandbox::User "root"' --aptopt='APT::Install-Recommends "false"' \
  --aptopt='Acquire::Retries "3"' --aptopt='Acquire::Languages "none"' \
  --dpkgopt=force-unsafe-io --dpkgopt=force-confold \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  "$SUITE" "$ROOT" "$@"

# Installing must start no daemon, make no SSH host key, and leave initramfs and module index to later steps.
printf '#!/bin/sh\nexit 101\n' >"$ROOT/usr/sbin/policy-rc.d"
chmod 755 "$ROOT/usr/sbin/policy-rc.d"
mkdir -p "$ROOT/etc/ssh"
for kind in rsa ecdsa ed25519; do : >"$ROOT/etc/ssh/ssh_host_${kind}_key"; done
for program in update-initramfs depmod; do
  dpkg-divert --root "$ROOT" --local --rename --divert "/usr/sbin/$program.distrib" --add "/usr/sbin/$program"
  ln -s /usr/bin/true "$ROOT/usr/sbin/$program"
done
