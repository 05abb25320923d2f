# A system that was made for a card becomes one for a read-only root that many nodes share over NFS. $INPUT/rootfs is laid over
# it. Natively: nothing of the image is run. Bookworm's and trixie's Raspberry Pi OS, and most of Bullseye's; other Debian
# systems have less of it.

fail() {
  echo "$*" >&2
  exit 1
}

# Where a path of the root is to be written: what was there is gone, folders above are made. A link of the image that leads
# out of it must not have us write on this machine.
place() {
  folder=$(realpath --canonicalize-missing "$ROOT/$(dirname "$1")")
  case $folder/ in
    "$ROOT"/*) ;;
    *) fail "the image's /$(dirname "$1") is a link that leads out of it" ;;
  esac
  mkdir -p "$folder"
  rm -rf "${folder:?}/$(basename "$1")"
  printf '%s/%s\n' "$folder" "$(basename "$1")"
}
drop() {
  for path in "$@"; do
    [ -e "$ROOT/$path" ] || [ -L "$ROOT/$path" ] || continue
    echo "removed: /$path"
    place "$path" >/dev/null
  done
}
own_file() { [ -f "$ROOT/$1" ] && [ ! -L "$ROOT/$1" ]; }
has_unit() { [ -e "$ROOT/usr/lib/systemd/system/$1" ] || [ -e "$ROOT/lib/systemd/system/$1" ] || [ -f "$ROOT/etc/systemd/system/$1" ]; }
mask() {
  for unit in "$@"; do
    has_unit "$unit" || continue
    echo "masked: $unit"
    ln -s /dev/null "$(place "etc/systemd/system/$unit")"
  done
}
switch_off_generator() { ln -s /dev/null "$(place "etc/systemd/system-generators/$1")"; }
systemctl_there() { systemctl --quiet --root="$ROOT" "$@"; }

. "$LIB/adapt-boot.sh"
. "$LIB/adapt-users.sh"

# --- What is mounted: nothing of a card.
if own_file etc/fstab; then cp "$ROOT/etc/fstab" fstab.card; else : >fstab.card; fi
awk '
  /^[[:space:]]*(#|$)/ { print; next }
  $3 == "swap" || $1 ~ /^(PARTUUID|UUID|LABEL|PARTLABEL|ID)=/ || $1 ~ /^\/dev\// || $2 ~ /^\/(boot(\/firmware)?)?$/ {
    print "dropped from fstab: " $0 >"/dev/stderr"
    next
  }
  { print }
' fstab.card >fstab 2>fstab.dropped
cat fstab.dropped

# What has to be written at run time goes to memory; of what lies there, the folders are made again with their owners.
volatile=
for folder in tmp var/tmp var/log var/spool var/cache var/lib/systemd var/lib/NetworkManager var/lib/dhcpcd var/lib/dhcp \
  var/lib/bluetooth var/lib/sudo var/lib/lightdm var/lib/lightdm-data var/lib/private var/lib/chrony var/lib/ntpsec \
  var/lib/alsa var/lib/logrotate var/lib/udisks2 var/lib/upower var/lib/colord var/lib/AccountsService var/lib/plymouth \
  var/lib/wpa_supplicant var/lib/saned var/lib/snmp var/lib/nfs; do
  [ -d "$ROOT/$folder" ] && [ ! -L "$ROOT/$folder" ] || continue
  volatile="$volatile $folder"
  stat --format="tmpfs /$folder tmpfs defaults,mode=%a,uid=%u,gid=%g 0 0" "$ROOT/$folder"
done >volatile.fstab
{
  echo '# The root is the appliance'"'"'s sealed, read-only export: what is written at run time goes to memory.'
  cat volatile.fstab
  # A person's files are there, and can be changed until the node goes down.
  for folder in home root; do
    [ -d "$ROOT/$folder" ] && [ ! -L "$ROOT/$folder" ] || continue
    upper=/run/netboot/homes/$folder
    echo "overlay /$folder overlay lowerdir=/$folder,upperdir=$upper/upper,workdir=$upper/work,x-systemd.requires=netboot-homes.service 0 0"
  done
} >>fstab
cp fstab "$(place etc/fstab)"
# A node with a disk of its own keeps what is written there.
for folder in $volatile home root; do
  [ "$folder" != tmp ] || continue
  unit=$(systemd-escape --path --suffix=mount "$folder")
  printf '[Unit]\nConditionKernelCommandLine=!netboot.root=private\n' >"$(place "etc/systemd/system/$unit.d/netboot.conf")"
done
(
  cd "$ROOT" || exit
  [ -n "$volatile" ] || exit 0
  # shellcheck disable=SC2086 # a list of folders
  find $volatile -mindepth 1 -xdev -type d -regex '[-A-Za-z0-9/_.@+]*' -printf 'd /%p %#m %U %G -\n'
) | LC_ALL=C sort >"$(place etc/tmpfiles.d/netboot-volatile.conf)"
# shellcheck disable=SC2086
[ -z "$volatile" ] || (cd "$ROOT" && find $volatile -xdev -type f -delete)

# --- Swap.
drop var/swap var/swapfile swapfile
mask swap.target dphys-swapfile.service rpi-resize-swap-file.service rpi-zram-writeback.timer systemd-zram-setup@.service
switch_off_generator rpi-swap-generator
[ ! -e "$ROOT/etc/rpi" ] || printf '[Main]\nMechanism=none\n' >"$(place etc/rpi/swap.conf.d/90-netboot.conf)"

# --- Growing to the size of the card.
for script in resize2fs_once apply_noobs_os_config; do
  drop "etc/init.d/$script"
  rm -f "$ROOT"/etc/rc?.d/[SK]??"$script"
done
mask resize2fs_once.service rpi-resize.service systemd-growfs-root.service systemd-growfs@.service systemd-repart.service
switch_off_generator systemd-gpt-auto-generator

# --- The first boot: questions, keys, identities.
if has_unit userconfig.service; then
  # It takes the place of the log-in prompt until somebody has answered.
  mask userconfig.service
  systemctl_there enable getty@tty1.service
fi
drop etc/xdg/autostart/piwiz.desktop etc/xdg/autostart/pprompt.desktop etc/xdg/autostart/deluser.desktop \
  etc/sudoers.d/010_wiz-nopasswd etc/ssh/sshd_config.d/rename_user.conf var/lib/userconf-pi
! own_file etc/lightdm/lightdm.conf || sed -i 's/^autologin-user=rpi-first-boot-wizard/#&/' "$ROOT/etc/lightdm/lightdm.conf"
mask sshswitch.service regenerate_ssh_host_keys.service sshd-keygen.service apply_noobs_os_config.service \
  custom-setup.service run_once.service systemd-firstboot.service
# All clones would have one identity, and each would be set up anew at every boot.
if [ -d "$ROOT/etc/cloud" ]; then
  echo 'cloud-init: switched off; what its user-data asks for belongs into image.yaml'
  : >"$(place etc/cloud/cloud-init.disabled)"
  drop var/lib/cloud/instance var/lib/cloud/instances var/lib/cloud/data var/lib/cloud/sem var/lib/cloud/seed
fi
rm -f "$ROOT"/etc/ssh/ssh_host_*
: >"$(place etc/machine-id)"
drop var/lib/dbus/machine-id var/lib/systemd/random-seed
echo node >"$(place etc/hostname)"
ln -s /run/netboot/hosts "$(place etc/hosts)"
ln -s /run/netboot/resolv.conf "$(place etc/resolv.conf)"

# --- The network: the root hangs on it. systemd-networkd renews the address, and nobody else touches the wired interfaces.
lay_over_root rootfs
if [ -d "$ROOT/etc/NetworkManager" ]; then
  printf '[main]\ndns=none\nrc-manager=unmanaged\n\n[keyfile]\nunmanaged-devices=type:ethernet\n' \
    >"$(place etc/NetworkManager/conf.d/90-netboot.conf)"
fi
if own_file etc/dhcpcd.conf; then
  cp "$ROOT/etc/dhcpcd.conf" dhcpcd.conf
  printf '\n# The root hangs on the wired interface: it is left alone.\ndenyinterfaces eth* en* end*\nnohook resolv.conf\n' >>dhcpcd.conf
  cp dhcpcd.conf "$(place etc/dhcpcd.conf)"
fi
mask networking.service ifup@.service NetworkManager-wait-online.service systemd-networkd-wait-online.service \
  systemd-network-generator.service
systemctl_there enable netboot-node.service netboot-report.service
! has_unit systemd-networkd.service || systemctl_there enable systemd-networkd.service
# NFS mounts are made without locks (etc/nfsmount.conf).
for unit in nfs-client.target rpcbind.service rpcbind.socket; do
  ! has_unit "$unit" || systemctl_there disable "$unit"
done

# --- What wants a disk, or a root that can be written.
drop etc/cron.hourly/fake-hwclock etc/fake-hwclock.data
mask fake-hwclock.service fake-hwclock-load.service fake-hwclock-save.service fake-hwclock-save.timer \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer man-db.timer logrotate.timer \
  e2scrub_all.timer e2scrub_reap.service fstrim.timer rpi-eeprom-update.service \
  systemd-random-seed.service systemd-machine-id-commit.service systemd-remount-fs.service systemd-boot-random-seed.service \
  systemd-journal-flush.service systemd-pstore.service systemd-update-done.service systemd-hibernate-resume.service
