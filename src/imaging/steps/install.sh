# The whole system updated, then $PACKAGES.
# The host's apt downloads and its dpkg unpacks, at native speed; the root's own dpkg configures, under emulation. Unpacking
# takes seconds so, and minutes when dpkg itself is emulated.
cat >apt.conf <<CONF
APT::Architecture "$ARCH";
APT::Architectures { "$ARCH"; };
Dir "$ROOT";
Dir::State::Status "$ROOT/var/lib/dpkg/status";
Dir::Etc::Trusted "/etc/apt/trusted.gpg";
Dir::Etc::TrustedParts "/etc/apt/trusted.gpg.d/";
DPkg::Chroot-Directory "$ROOT";
DPkg::Use-Pty "false";
CONF
export APT_CONFIG=$WORK/apt.conf

apt-get -y full-upgrade
# shellcheck disable=SC2086
apt-get -y --download-only install $PACKAGES

# Pre-depends are forced as the host's dpkg counts "Architecture: all" as its own architecture, not as the root's; apt has
# seen to it that everything is there, and the dpkg that configures checks again.
set --
while read -r option; do
  case $option in path-exclude=* | force-*) set -- "$@" "--$option" ;; esac
done <"$ROOT/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
dpkg --root="$ROOT" --force-depends "$@" --unpack "$ROOT"/var/cache/apt/archives/*.deb
rm -f "$ROOT"/var/cache/apt/archives/*.deb

# qemu-user 7.2 (Debian 12) crashes now and then; dpkg goes on where it was.
chroot "$ROOT" dpkg --configure --pending || {
  echo 'configuring failed, once more'
  chroot "$ROOT" dpkg --configure --pending
}
[ -z "$(chroot "$ROOT" dpkg --audit)" ]
