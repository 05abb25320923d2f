# What is of one build, one appliance or one node does not belong in an image that all share, and that comes out the same
# from every build of the same packages and recipe.
cd "$ROOT"

# A folder may be a link, and as seen from here lead to one of the host's: what is there is not ours, and in no image.
remove() {
  for file; do
    if stay_in_root "/$(dirname "$file")" 2>/dev/null; then rm -rf "$file"; fi
  done
}

# Put there by the build itself.
for program in update-initramfs depmod; do
  [ -e "usr/sbin/$program.distrib" ] || continue
  rm -f "usr/sbin/$program"
  dpkg-divert --root "$ROOT" --local --rename --remove "/usr/sbin/$program"
done
remove usr/sbin/policy-rc.d etc/apt/apt.conf.d/99mmdebstrap etc/dpkg/dpkg.cfg.d/99mmdebstrap

. "$LIB/modules.sh"
index_modules

# What a kernel that is started without an initramfs looks for before anything is mounted.
mkdir -p dev
[ -e dev/console ] || mknod -m 600 dev/console c 5 1
[ -e dev/null ] || mknod -m 666 dev/null c 1 3

# Secrets and identities: each node has its own.
remove etc/ssh/ssh_host_* var/lib/systemd/random-seed var/lib/systemd/credential.secret var/lib/dbus/machine-id
if [ -e etc/machine-id ] || [ -L etc/machine-id ]; then
  rm etc/machine-id
  (umask 0222 && : >etc/machine-id)
fi

# Logs, caches, package lists, backups, locks.
find var/log -xdev -type f -delete
remove var/lib/apt/lists/* var/cache/apt/*.bin var/cache/apt/archives/*.deb var/cache/ldconfig/aux-cache
remove var/cache/debconf/*-old var/lib/dpkg/*-old var/lib/dpkg/lock* etc/.pwd.lock root/.bash_history
remove etc/passwd- etc/shadow- etc/group- etc/gshadow- etc/subuid- etc/subgid-
for folder in run tmp var/tmp; do
  [ ! -d "$folder" ] || [ -L "$folder" ] || find "$folder" -mindepth 1 -xdev -delete
done

# NFS stores no file capabilities: a program that has one on the server has none on the node. Where root's right to start it
# is not enough, it becomes setuid root, as Debian itself does where it cannot set them.
command -v getcap >/dev/null || {
  echo 'getcap is missing: install the package libcap2-bin' >&2
  exit 1
}
getcap -r . 2>/dev/null | sed 's/^\.\///; s/ =\{0,1\} *\(cap_[^ ]*\)$/ \1/' | while read -r line; do
  path=${line% cap_*}
  setcap -r "$path" 2>/dev/null || true
  if [ "$(stat -c %u:%F "$path")" = '0:regular file' ]; then
    chmod u+s "$path"
    echo "$path had ${line##* }, which NFS cannot store: it is setuid root now"
  else
    echo "$path had ${line##* }, which NFS cannot store, and is not root's: it goes without"
  fi
done
cd "$WORK"
