# Which units start, natively by the host's systemctl: links and nothing else. $INPUT/rootfs/ has targets and drop-ins, $DEFAULT,
# $ENABLE, $DISABLE and $MASK name units; $INPUT/wants has lines "target unit".
lay_over_root rootfs
control() { systemctl --root="$ROOT" --quiet --no-reload "$@"; }

# shellcheck disable=SC2086 # lists of units
{
  # First, as some bring others along (Also=), which may be what is not wanted.
  [ -z "$ENABLE" ] || control enable $ENABLE
  [ -z "$DISABLE" ] || control disable $DISABLE
  [ -z "$MASK" ] || control mask $MASK
  [ -z "$DEFAULT" ] || control set-default "$DEFAULT"
}
[ ! -e "$INPUT/wants" ] || while read -r target unit; do
  control add-wants "$target" "$unit"
done <"$INPUT/wants"
