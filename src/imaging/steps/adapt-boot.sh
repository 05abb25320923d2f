# Boot files where Debian's packages have theirs, so that nothing after this step need know of an import: one kernel in
# /boot/vmlinuz-<version>, its device trees in /usr/lib/linux-image-<version>, all else in /usr/lib/raspi-firmware.
firmware=$ROOT/boot/firmware

# Raspberry Pi OS has a kernel for each generation of boards; a generation of ours boots one. The 64-bit kernel runs on Pi 3, 4
# and 5, below a 32-bit system too.
kept=
for ending in '*-v8' '*-v8+' '*-v7l' '*-v7l+' '*-v7' '*-v7+' '*'; do
  # shellcheck disable=SC2231 # a pattern
  for modules in "$ROOT"/usr/lib/modules/$ending; do
    [ ! -d "$modules/kernel" ] || kept=$(basename "$modules")
  done
  [ -z "$kept" ] || break
done
[ -n "$kept" ] || fail 'the image has no kernel modules below /usr/lib/modules'
for modules in "$ROOT"/usr/lib/modules/*; do
  version=$(basename "$modules")
  [ "$version" != "$kept" ] || continue
  echo "left out: kernel $version"
  rm -rf "$modules" "$ROOT/usr/lib/linux-image-$version" "$ROOT/boot/config-$version" "$ROOT/boot/System.map-$version"
done

# By what a kernel says of itself, as names in the boot partition carry no version.
is_kernel() {
  [ -f "$1" ] || return 1
  case $(head -c 2 "$1" | od -An -tx1 | tr -d ' ') in
    1f8b) gzip -dc "$1" 2>/dev/null | grep -aqF "Linux version $kept " ;;
    *) grep -aqF "Linux version $kept " "$1" ;;
  esac
}
kernel=
for file in "$firmware"/kernel8.img "$firmware/vmlinuz-$kept" "$ROOT/boot/vmlinuz-$kept" "$firmware"/kernel*.img; do
  is_kernel "$file" || continue
  kernel=$file
  break
done
[ -n "$kernel" ] || fail "the image has the modules of kernel $kept, but neither its boot partition nor /boot has that kernel"
echo "kernel $kept, from ${kernel#"$ROOT"}"
cp "$kernel" vmlinuz
rm -f "$ROOT"/boot/vmlinuz* "$ROOT"/boot/initrd.img* "$ROOT"/boot/kernel*.img
cp vmlinuz "$(place "boot/vmlinuz-$kept")"
chmod 644 "$ROOT/boot/vmlinuz-$kept"

# All else of the boot partition but what this step or the first boot reads, what the generation has of its own, and what
# would have a Pi flash its EEPROM.
mkdir boot-files
cp -R --preserve=mode,timestamps "$firmware/." boot-files/
(
  cd boot-files || exit
  rm -rf config.txt cmdline.txt ./*.img ./initramfs* vmlinuz* initrd* \
    user-data meta-data network-config userconf userconf.txt custom.toml firstrun.sh ssh ssh.txt wpa_supplicant.conf \
    recovery.* pieeprom.* vl805.* bootloader.* 'System Volume Information' FSCK*.REC
  mkdir -p "$WORK/device-trees"
  find . -maxdepth 1 -name '*.dtb' -exec mv {} "$WORK/device-trees/" \;
)
place_tree() {
  mkdir -p "$(dirname "$(place "$2/.new")")"
  cp -R --preserve=mode,timestamps "$1/." "$ROOT/$2/"
}
place_tree device-trees "usr/lib/linux-image-$kept/broadcom"
place_tree boot-files usr/lib/raspi-firmware
