# list_root ROOT: what a generation tells of its root, into the current folder. Sourced by the step that squashes.
#   packages.txt  a line a package: name version architecture source source-version
#   os-release    which system it is
#   files.0       a record an entry, each half ended by NUL: "type mode uid gid size target" and its path
#   hashes.0      SHA-256 of each regular file as sha256sum --zero writes it; every core hashes
#
# $EXCLUDED: patterns below the root that are not part of it, as mksquashfs -wildcards takes them.
EXCLUDED=${EXCLUDED:-boot/* usr/lib/linux-image-* usr/lib/raspi-firmware}

list_root() {
  out=$PWD
  : >packages.txt
  : >os-release
  # shellcheck disable=SC2016
  [ ! -e "$1/var/lib/dpkg/status" ] || dpkg-query --admindir="$1/var/lib/dpkg" -W \
    -f '${db:Status-Status} ${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n' |
    sed -n 's/^installed //p' >packages.txt
  [ ! -e "$1/usr/lib/os-release" ] || cat "$1/usr/lib/os-release" >os-release
  mkdir hashes
  (
    cd "$1" || exit
    set -f
    # shellcheck disable=SC2086 # a list of patterns
    set -- $EXCLUDED
    for pattern in "$@"; do
      set -- "$@" -o -path "./$pattern"
      shift
    done
    shift
    find . -xdev -mindepth 1 \( "$@" \) -prune -o \
      -fprintf "$out/files.0" '%y %m %U %G %s %l\0%P\0' -type f -fprintf "$out/regular.0" '%P\0'
    # A file each: sha256sum writes in blocks, which would mix.
    # shellcheck disable=SC2016
    xargs -0 -r -n 500 -P "$(nproc)" sh -c 'exec sha256sum --zero -- "$@" >"$0/$$"' "$out/hashes" <"$out/regular.0"
  )
  find hashes -type f -exec cat {} + >hashes.0
  rm -r hashes regular.0
}
