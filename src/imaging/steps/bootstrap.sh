# A Debian from nothing but $DEBS. Only the packages' own scripts run under emulation. First every file is laid down, so that
# they find a shell and a C library; then dpkg unpacks the same packages over them and so knows what it has.
. "$LIB/dpkg.sh"

# The newest time of what the root is made of (ar(5): the time is behind the first member's name) is the time of the build.
for deb in "$DEBS"/*.deb; do
  head --bytes=36 "$deb" | tail --bytes=12
  echo
done | sort --numeric-sort | tail --lines=1 | tr --delete ' ' >epoch
SOURCE_DATE_EPOCH=$(cat epoch)
export SOURCE_DATE_EPOCH

# As all later steps have it: nothing that dpkg asks to be flushed is, before the whole layer is.
mkdir -p empty overlay
LIBMOUNT_FORCE_MOUNT2=always mount -t overlay overlay "$ROOT" -o "lowerdir=empty,upperdir=$ROOT,workdir=overlay,volatile"

mkdir -p "$ROOT/etc/dpkg/dpkg.cfg.d" "$ROOT/var/lib/dpkg/info"
folders='bin sbin lib'
[ "$ARCH" != amd64 ] || folders="$folders lib64"
for folder in $folders; do
  mkdir -p "$ROOT/usr/$folder"
  ln -s "usr/$folder" "$ROOT/$folder"
done
: >"$ROOT/var/lib/dpkg/status"
# No documentation on a node: never unpacked, by any later step either.
set -- doc man info locale
printf 'path-exclude=/usr/share/%s/*\n' "$@" >"$ROOT/etc/dpkg/dpkg.cfg.d/netboot"

for deb in "$DEBS"/*.deb; do
  dpkg-deb --fsys-tarfile "$deb" | tar -C "$ROOT" --extract --keep-directory-symlink --numeric-owner --same-permissions \
    --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/info/*' --exclude='./usr/share/locale/*'
done
furnish

prepare_to_install
unpack "$DEBS"/*.deb
# What every package takes for granted comes first: nothing depends on it by name.
run_configure --force-depends base-passwd base-files
configure
finish_installing
