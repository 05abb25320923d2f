# $DEBS onto the root, the packages $REMOVED out of it.
. "$LIB/dpkg.sh"

prepare_to_install
# Before what may conflict with them, and while their scripts find all they need.
if [ -n "${REMOVED:-}" ]; then
  # shellcheck disable=SC2086
  without_file_capabilities chroot "$ROOT" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive SYSTEMD_OFFLINE=1 dpkg --force-depends --purge $REMOVED
fi
set -- "$DEBS"/*.deb
if [ -e "$1" ]; then unpack "$@"; fi
configure
finish_installing
# Here and not only in "clean", which runs again with every change.
index_modules
