# Files, links, settings: natively, as data needs no program of the root. $INPUT/rootfs/ is laid over the root;
# $INPUT/fstab is appended; $INPUT/owners has lines "owner group mode path".
lay_over_root rootfs

if [ -e "$INPUT/fstab" ]; then
  stay_in_root /etc/fstab
  mkdir -p "$ROOT/etc"
  touch "$ROOT/etc/fstab"
  cat "$INPUT/fstab" >>"$ROOT/etc/fstab"
  touch --date="@$SOURCE_DATE_EPOCH" "$ROOT/etc/fstab"
fi

. "$LIB/owners.sh"
