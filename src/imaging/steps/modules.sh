# index_modules: the root's index of kernel modules made again where modules came after it. Natively: under emulation 4,000
# packed modules take a minute.
index_modules() {
  for modules in "$ROOT"/usr/lib/modules/*; do
    [ -d "$modules/kernel" ] || continue
    index=$modules/modules.dep.bin
    [ ! -e "$index" ] || [ -n "$(find "$modules" -name '*.ko*' -cnewer "$index" -print -quit)" ] || continue
    depmod --basedir "$ROOT" "$(basename "$modules")"
  done
}
