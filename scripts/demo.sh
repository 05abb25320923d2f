#!/bin/sh
# A rack of two virtual diskless Pis on this machine, from nothing to a web page. Needs root; touches no network of
# yours: everything happens in network namespaces of its own.
#   scripts/demo.sh           build the image if there is none, boot both Pis, show their pages, take the rack down
#   scripts/demo.sh --keep    leave the rack up, and say how to look around
#   scripts/demo.sh --down    take down a rack that was kept
set -eu
cd "$(dirname "$0")/.."

rack=demo
folder=/var/lib/netboot-demo
generations=/var/cache/netboot/generations
netboot="scripts/netboot --config $folder/netboot.yaml"
keep=no

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
fail() { echo "demo: $*" >&2; exit 1; }
# What is told of a log has to be there afterwards: the rack goes, its folder is put aside.
fail_with_logs() {
  rm -rf "$folder.failed"
  mkdir "$folder.failed"
  cp "$folder"/*.log "$folder.failed"
  fail "$*. The logs are in $folder.failed"
}
seconds_since() { echo $(($(date +%s) - $1)); }

take_down() {
  ! scripts/node --version > /dev/null 2>&1 || scripts/netboot sim rack-down $rack > /dev/null
  rm -rf "$folder"
  rmdir /exports 2> /dev/null || true # only when it is empty
}

case ${1-} in
  '') ;;
  --keep) keep=yes ;;
  --down) take_down; exit 0 ;;
  *) echo "usage: scripts/demo.sh [--keep | --down]" >&2; exit 2 ;;
esac
[ "$(id -u)" -eq 0 ] || fail "it makes network namespaces and mounts: run it as root (sudo scripts/demo.sh)."
command -v npm > /dev/null || fail "npm is missing. Install Node 20 or newer with npm: apt-get install npm"

say "Programs"
scripts/need.sh serve build lab
scripts/node --version > /dev/null 2>&1 || npm ci --no-audit --no-fund --loglevel=error
echo "all there"

take_down # what an interrupted run or an earlier --keep left
trap '[ $keep = kept ] || take_down' EXIT
trap 'exit 130' INT TERM

say "The rack: a bridge and the appliance, in the network namespace nb-$rack"
mkdir -p "$folder/exports" "$generations" /exports
cat > "$folder/netboot.yaml" << EOF
interfaces:
  br0:
    dhcp: full
    pool: 192.168.172.100-192.168.172.199
paths:
  state: $folder/state
  images: $(pwd)/images
  generations: $generations
api:
  socket: $folder/api.sock
EOF
scripts/netboot sim rack-up $rack
started=$(date +%s)
# Nodes mount /exports/www. "ip netns exec" gives a mount namespace of its own: there, that is a folder of the demo.
# shellcheck disable=SC2016 # expanded by the inner shell
setsid ip netns exec nb-$rack sh -euc 'mount --bind "$1/exports" /exports; exec scripts/netboot --config "$1/netboot.yaml" serve' \
  sh "$folder" > "$folder/service.log" 2>&1 &
service=$!
until $netboot status > "$folder/status" 2>&1; do
  kill -0 $service 2> /dev/null || fail_with_logs "the service did not start: $(tail -n 3 "$folder/service.log")"
  [ "$(seconds_since "$started")" -lt 30 ] || fail_with_logs "the service does not answer"
  sleep 0.2
done
head -n 3 "$folder/status"
service_took=$(seconds_since "$started")

say "The image"
started=$(date +%s)
$netboot build-image web
image_took=$(seconds_since "$started")
printf '<h1>Hello from a diskless Raspberry Pi</h1>\n' > "$folder/exports/www/html/index.html"

say "Two nodes"
$netboot add-node de300001 --name pi-one --role web
$netboot add-node de300002 --name pi-two --role web
ssh_key=
if command -v ssh-keygen > /dev/null; then
  ssh-keygen -q -t ed25519 -N '' -f "$folder/id_ed25519"
  ssh_key="--ssh-key $folder/id_ed25519.pub"
fi

say "Power on"
powered=$(date +%s)
for node in pi-one:pi4:de300001 pi-two:pi4:de300002; do
  serial=${node##*:}
  model=${node#*:}
  # shellcheck disable=SC2086 # an option and its value, or nothing
  setsid scripts/netboot sim "${model%:*}" --serial "$serial" --rack $rack --boot --once $ssh_key > "$folder/${node%%:*}.log" 2>&1 &
done

# The firmware's own words of one Pi; the other says the same.
until grep -q 'kernel served' "$folder/pi-one.log" 2> /dev/null; do
  grep -q FAILED "$folder/pi-one.log" "$folder/pi-two.log" 2> /dev/null && fail_with_logs "$(grep -h FAILED "$folder"/pi-*.log)"
  [ "$(seconds_since "$powered")" -lt 90 ] || fail_with_logs "the firmware got no kernel"
  sleep 0.5
done
firmware_took=$(seconds_since "$powered")
grep -v '│' "$folder/pi-one.log"

say "Linux boots from its NFS root; waiting for nginx on port 8000"
for name in pi-one pi-two; do
  address=$($netboot show-node $name | sed -n 's/^ip *//p')
  until page=$(ip netns exec nb-$rack curl -sf --max-time 5 "http://$address:8000/"); do
    if [ "$(seconds_since "$powered")" -ge 600 ]; then
      tail -n 20 "$folder/$name.log" >&2
      fail_with_logs "$name served no page within 10 minutes"
    fi
    sleep 1
  done
  echo "$name ($address), $(seconds_since "$powered") s after power-on: $page"
done
page_took=$(seconds_since "$powered")

say "Time"
echo "service ready            $service_took s"
echo "image                    $image_took s"
echo "power-on to kernel       $firmware_took s"
echo "power-on to both pages   $page_took s"

if [ $keep = yes ]; then
  keep=kept
  say "The rack stays up. Look around:"
  echo "  $netboot nodes"
  echo "  $netboot status"
  echo "  tail -f $folder/service.log $folder/pi-one.log"
  echo "  ip netns exec nb-$rack curl http://$address:8000/"
  [ -z "$ssh_key" ] || echo "  ip netns exec nb-$rack ssh -i $folder/id_ed25519 root@$address"
  echo "  edit $folder/exports/www/html/index.html"
  echo "and take it down with: scripts/demo.sh --down"
fi
