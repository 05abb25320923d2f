# What bootstrap.sh and packages.sh share: the host's dpkg unpacks, at native speed; the root's own dpkg configures.

. "$LIB/modules.sh"

# While packages are installed no daemon starts, no SSH host key is made, and what a later step makes once is left to it:
# initramfs and module index. The hardware database (systemd-hwdb) is not made at all: it costs a minute under emulation, and
# every node would read its 13 MB over the network at each boot. A hook that wants it runs "systemd-hwdb update".
DIVERTED='/usr/sbin/update-initramfs /usr/sbin/depmod /usr/bin/systemd-hwdb'
prepare_to_install() {
  keep_services_down
  [ -L "$ROOT/etc/ssh" ] || {
    mkdir -p "$ROOT/etc/ssh"
    for kind in rsa ecdsa ed25519; do
      key=$ROOT/etc/ssh/ssh_host_${kind}_key
      [ -e "$key" ] || [ -L "$key" ] || : >"$key"
    done
  }
  for program in $DIVERTED; do
    divert --rename --divert "$program.diverted" --add "$program"
    # Before Debian 13 packages have them in /sbin and /bin, the same place by a link.
    [ ! -L "$ROOT/sbin" ] || divert --no-rename --divert "${program#/usr}.diverted" --add "${program#/usr}"
    [ ! -d "$ROOT${program%/*}" ] || ln -s /usr/bin/true "$ROOT$program"
  done
  [ ! -f "$ROOT/etc/machine-id" ] || [ -L "$ROOT/etc/machine-id" ] || cp -p "$ROOT/etc/machine-id" machine-id
}

divert() { dpkg-divert --quiet --root "$ROOT" --local "$@"; }

# The root as packages left it: nothing of the above, nothing that is of this one build.
finish_installing() {
  for program in $DIVERTED; do
    [ ! -L "$ROOT$program" ] || rm -f "$ROOT$program"
    [ ! -L "$ROOT/sbin" ] || divert --no-rename --remove "${program#/usr}"
    divert --rename --remove "$program"
  done
  [ ! -d "$ROOT/etc/ssh" ] || [ -L "$ROOT/etc/ssh" ] || {
    find "$ROOT/etc/ssh" -name 'ssh_host_*_key' -empty -delete
    rmdir --ignore-fail-on-non-empty "$ROOT/etc/ssh"
  }
  # systemd's package gives every installation an identity.
  if [ -e machine-id ]; then
    cp -p machine-id "$ROOT/etc/machine-id"
  elif [ ! -L "$ROOT/etc/machine-id" ]; then
    : >"$ROOT/etc/machine-id"
  fi
  rm -f "$ROOT"/var/lib/dpkg/*-old "$ROOT"/var/cache/debconf/*-old "$ROOT/var/cache/ldconfig/aux-cache"
  rm -f "$ROOT"/etc/passwd- "$ROOT"/etc/group- "$ROOT"/etc/shadow- "$ROOT"/etc/gshadow- "$ROOT"/etc/sub?id-
  rm -f "$ROOT/var/log/dpkg.log" "$ROOT/var/log/alternatives.log"
}

# NFS stores no file capabilities: without CAP_SETFCAP packages fall back to what it does store (set-user-id).
without_file_capabilities() {
  setpriv --bounding-set -setfcap --inh-caps -setfcap "$@"
}

# Pre-depends are forced as the host's dpkg counts "Architecture: all" as its own architecture, not as the root's; who settled
# the packages has seen to it that everything is there, and the dpkg that configures checks again. $1… package files.
unpack() {
  set -- --unpack "$@"
  for file in "$ROOT"/etc/dpkg/dpkg.cfg.d/*; do
    [ -e "$file" ] || continue
    while read -r option; do
      case $option in path-include=* | path-exclude=* | force-*) set -- "--$option" "$@" ;; esac
    done <"$file"
  done
  without_file_capabilities dpkg --root="$ROOT" --force-unsafe-io --force-depends --force-architecture --force-confold \
    "$@" >unpack.log 2>&1 || {
    tail --lines=30 unpack.log
    return 1
  }
}

# The maintainer scripts. Perl starts in 20 ms, and in 2 s under emulation, and most scripts start it several times
# (deb-systemd-helper, debconf): so the host's own perl is lent to the root for as long as they run. If one wants of perl what
# only the root's has, or qemu-user crashes (7.2, Debian 12, does now and then), dpkg goes on where it was, without.
configure() {
  lend_perl
  run_configure --pending || {
    take_perl_back
    echo 'configuring failed, once more'
    run_configure --pending || {
      tell_why
      return 1
    }
  }
  take_perl_back
  in_root dpkg --audit >audit
  [ ! -s audit ] || {
    cat audit
    return 1
  }
}

run_configure() {
  rm -f failed
  { without_file_capabilities chroot "$ROOT" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true SYSTEMD_OFFLINE=1 PERL_HASH_SEED=0 \
    ${SOURCE_DATE_EPOCH:+SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH"} dpkg --force-confold --configure "$@" 2>&1 ||
    : >failed; } | tee configure.log
  [ ! -e failed ]
}

# dpkg goes on with other packages after one that failed: what that one said last comes at the very end, where people look.
# Those that only wait for it are not named.
tell_why() {
  awk '
    /^(Setting up|Processing triggers for) / { count = 0; next }
    /^dpkg: error processing package / { package = $5; next }
    package != "" && !/dependency problems/ {
      print "the package " package " cannot be configured, its script said last:"
      for (line = count > 3 ? count - 3 : 0; line < count; line++) print "  " said[line]
      print " " $0
    }
    { package = ""; said[count++] = $0 }
  ' configure.log
}

# Its library and modules lie at the same places there, as folders that are empty again afterwards.
lend_perl() {
  [ -n "${EMULATE:-}" ] && [ -x "$ROOT/usr/bin/perl" ] || return 0
  folders=/lib64/$(perl -e 's,/perl-base$,, && print " $_" for @INC; m,^/usr/share/perl/, && -d && print " $_" for @INC')
  # A root with programs of the host's own architecture, or the very perl, keeps its own.
  for folder in $folders; do [ ! -e "$ROOT$folder" ] || return 0; done
  for folder in $folders; do
    mkdir -p "$ROOT$folder"
    mount --bind -o ro "$folder" "$ROOT$folder"
    lent="$ROOT$folder $lent"
  done
  mount --bind -o ro /usr/bin/perl "$ROOT/usr/bin/perl"
}
lent=''

take_perl_back() {
  [ -n "$lent" ] || return 0
  umount "$ROOT/usr/bin/perl"
  for folder in $lent; do
    umount "$folder"
    rmdir "$folder"
  done
  [ ! -d "$ROOT/usr/share/perl" ] || rmdir --ignore-fail-on-non-empty "$ROOT/usr/share/perl"
  lent=''
}
