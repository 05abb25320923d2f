# copy-out.sh TARGET PATH…: those of the paths that the root has, to the same places below TARGET, links as links.
target=$1
shift
for path in "$@"; do
  shift
  path=${path#/}
  [ ! -e "$ROOT/$path" ] && [ ! -L "$ROOT/$path" ] || set -- "$@" "$path"
done
tar -C "$ROOT" --create --files-from=/dev/null "$@" | tar -C "$target" --extract --numeric-owner --same-permissions
