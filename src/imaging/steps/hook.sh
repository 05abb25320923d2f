# One of the recipe's hooks/, inside the root.
cp "$RECIPE/hooks/$HOOK" "$ROOT/tmp/$HOOK"
chroot "$ROOT" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
  DEBIAN_FRONTEND=noninteractive SYSTEMD_OFFLINE=1 /bin/sh -eu "/tmp/$HOOK"
