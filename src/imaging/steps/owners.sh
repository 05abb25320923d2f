# Owner and mode of single files and folders, by $INPUT/owners: lines "owner group mode kind path". Names are the root's, not
# the host's.
id_of() { # file name
  case $2 in
    *[!0-9]*) awk -F: -v name="$2" '$1 == name { print $3; found = 1; exit } END { exit !found }' "$ROOT/etc/$1" ;;
    *) echo "$2" ;;
  esac
}

# shellcheck disable=SC2094 # only read
[ ! -e "$INPUT/owners" ] || while read -r owner group mode kind path; do
  uid=$(id_of passwd "$owner") || {
    echo "$path: the image has no user \"$owner\"" >&2
    exit 1
  }
  gid=$(id_of group "$group") || {
    echo "$path: the image has no group \"$group\"" >&2
    exit 1
  }
  stay_in_root "$(dirname "$path")"
  case $kind in
    folder) mkdir -p "$ROOT$path" ;;
    *) [ -e "$ROOT$path" ] || [ -L "$ROOT$path" ] || {
      echo "$path: is not in the root" >&2
      exit 1
    } ;;
  esac
  chown --no-dereference "$uid:$gid" "$ROOT$path"
  [ -L "$ROOT$path" ] || chmod "$mode" "$ROOT$path"
  touch --no-dereference --date="@$SOURCE_DATE_EPOCH" "$ROOT$path"
done <"$INPUT/owners"
