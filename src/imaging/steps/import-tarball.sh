# A root from a tar archive, $SOURCE, however it is compressed.
# Device nodes are made by the node's own kernel.
tar --extract --file "$SOURCE" --directory "$ROOT" --numeric-owner --same-owner --same-permissions \
  --xattrs --xattrs-include='security.capability' --exclude='./dev/*' --exclude='dev/*'
find "$ROOT" -xdev \( -type b -o -type c -o -type p -o -type s \) -delete
[ -e "$ROOT/bin/sh" ] || [ -L "$ROOT/bin/sh" ] || {
  echo "$SOURCE is no root file system: it has no /bin/sh" >&2
  exit 1
}
for folder in dev etc proc run sys usr/sbin var; do mkdir -p "$ROOT/$folder"; done
mkdir -p -m 1777 "$ROOT/tmp"

find "$ROOT" -xdev -type f -printf '%T@\n' | sort -n | tail -n 1 | cut -d. -f1 >epoch
for folder in dev etc proc run sys usr usr/sbin var tmp ''; do touch --date="@$(cat epoch)" "$ROOT/$folder"; done
