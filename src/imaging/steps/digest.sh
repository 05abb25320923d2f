# One line for all that $READS (patterns below the root, a folder with all in it) finds there: content, modes, owners, links.
cd "$ROOT"
# shellcheck disable=SC2086 # patterns
set -- $READS
for path in "$@"; do
  shift
  [ ! -e "$path" ] && [ ! -L "$path" ] || set -- "$@" "$path"
done
tar --create --sort=name --mtime=@0 --numeric-owner --format=gnu --files-from=/dev/null "$@" | sha256sum
