# $OUT/$INITRAMFS: $INPUT/init, busybox, klibc's network programs and the kernel modules an NFS root needs, all of them the
# root's own. Made natively: nothing of the root is run. $MODULES, what the recipe adds; $INPUT/drivers, those of which
# a kernel may lack some.
fail() { echo "$*" >&2; exit 1; }
set -- "$ROOT"/usr/lib/modules/*/modules.order
[ $# -eq 1 ] || fail "there must be one kernel in the image, found: $(cd "$ROOT/usr/lib/modules" && echo *)"
[ -e "$1" ] || fail 'the image has no kernel modules: is linux-image-… among its packages?'
[ -e "${1%order}dep.bin" ] || fail "the kernel modules of the image have no index: run depmod in a hook"
kernel=$(dirname "$1")
version=$(basename "$kernel")

tree=$WORK/tree
mkdir -p "$tree/bin" "$tree/lib" "$tree/dev" "$tree/proc" "$tree/sys" "$tree/run" "$tree/root"
ln -s bin "$tree/sbin"
ln -s . "$tree/usr"
install -m 755 "$INPUT/init" "$tree/init"

busybox=$ROOT/usr/bin/busybox
[ -e "$busybox" ] || fail 'the image has no busybox, which its initramfs is made with: add the package busybox-static'
install -m 755 "$busybox" "$tree/bin/busybox"
ln -s busybox "$tree/bin/sh"
# Of one that is not static, what it loads: its loader is named right behind the headers.
if head -c 4096 "$busybox" | grep -aq /ld-linux; then
  for library in $(grep -aoE '(ld-linux[a-z0-9-]*|libc|libresolv)\.so\.[0-9]+' "$busybox" | sort -u); do
    found=$(find "$ROOT/usr/lib" -maxdepth 2 -name "$library" | head -n 1)
    [ -n "$found" ] || fail "the image has no $library, which its busybox needs: add the package busybox-static"
    install -m 755 "$found" "$tree/lib/$library"
  done
fi

for program in ipconfig nfsmount run-init; do
  [ -e "$ROOT/usr/lib/klibc/bin/$program" ] ||
    fail "the image has no klibc $program, which its initramfs is made with: add the package klibc-utils"
  install -m 755 "$ROOT/usr/lib/klibc/bin/$program" "$tree/bin/$program"
done
install -m 755 "$ROOT"/usr/lib/klibc-*.so "$tree/lib/"

# What each module needs, by the index of the root, whatever settings this machine has for its own.
mkdir -p "$WORK/no-settings" "$WORK/kmod/lib"
ln -s "$ROOT/usr/lib/modules" "$WORK/kmod/lib/modules"
needs() { modprobe --dirname "$WORK/kmod" --set-version "$version" --config "$WORK/no-settings" --show-depends "$1" 2>/dev/null; }

: >"$WORK/needed"
# What /init itself asks for: the root over NFS, and what a root that can be written to is put together from. squashfs is
# for who mounts a sealed root by hand (break).
for module in nfs nfsv3 nfsv4 overlay loop ext4 squashfs $MODULES; do
  needs "$module" >>"$WORK/needed" || fail "the kernel $version has no module $module"
done
for module in $(grep -v '^#' "$INPUT/drivers"); do
  needs "$module" >>"$WORK/needed" || echo "the kernel $version has no module $module: left out"
done

# Unpacked, as the archive is packed whole.
modules=$tree/lib/modules/$version
mkdir -p "$modules"
sed -n 's/^insmod \([^ ]*\).*/\1/p' "$WORK/needed" | sort -u | while read -r file; do
  path=${file#"$WORK/kmod/lib/modules/$version/"}
  target=$modules/${path%.[xgz]*}
  mkdir -p "$(dirname "$target")"
  case $file in
    *.xz) xz -dc "$file" >"$target" ;;
    *.zst) zstd -qdc "$file" >"$target" ;;
    *.gz) gzip -dc "$file" >"$target" ;;
    *) cp "$file" "$modules/$path" ;;
  esac
done
cp "$kernel/modules.order" "$kernel"/modules.builtin* "$modules/"
depmod --basedir "$tree" "$version"
rm -f "$modules"/*.bin "$modules/modules.symbols" "$modules/modules.builtin.modinfo" "$modules/modules.devname"

# Firmware that a network card wants before it has a link, as far as the image has it.
find "$modules" -name '*.ko' -exec modinfo --field firmware {} + | sort -u | while read -r file; do
  for found in "$ROOT/usr/lib/firmware/$file" "$ROOT/usr/lib/firmware/$file".*; do
    [ -e "$found" ] || continue
    mkdir -p "$(dirname "$tree/lib/firmware/$file")"
    cp "$found" "$(dirname "$tree/lib/firmware/$file")/"
  done
done

chmod -R u=rwX,go=rX "$tree"
find "$tree" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
(cd "$tree" && find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort |
  cpio --quiet --create --format=newc --reproducible --owner=0:0) >"$WORK/archive"
zstd --quiet --single-thread -19 <"$WORK/archive" >"$OUT/$INITRAMFS"
