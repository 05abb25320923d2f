# $OUT/root.squashfs: the root without /boot, which nodes fetch, and what steps/listing.sh tells of it.
. "$LIB/listing.sh"
cd "$OUT" || exit
list_root "$ROOT"
set -f
set -- "$ROOT" root.squashfs -noappend -no-progress -quiet -comp zstd -Xcompression-level 6 -wildcards
for path in $EXCLUDED; do set -- "$@" -e "$path"; done
mksquashfs "$@"
set +f
chmod 644 root.squashfs
