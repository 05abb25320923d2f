#!/bin/sh
# Measures netboot beside dnsmasq, tftpd-hpa and Kea, prints the tables and writes bench/results.md. Needs root.
#   scripts/bench.sh           everything: under half an hour on 2 processors
#   scripts/bench.sh --quick   whether it works, in a minute; writes nothing
#   scripts/bench.sh --help    the other options
set -eu
cd "$(dirname "$0")/.."
if [ "$(id -u)" -ne 0 ]; then
  echo "The bench makes network namespaces and starts servers in them: run it as root." >&2
  exit 1
fi
scripts/need.sh bench
scripts/node --version > /dev/null 2>&1 || npm ci --no-audit --no-fund --loglevel=error

# Where servers keep what has to be durable: on a disk, which /tmp may not be.
folder=$(mktemp -d /var/tmp/netboot-bench.XXXXXX)
bench=
trap '[ -z "$bench" ] || kill -9 "$bench" 2> /dev/null || true; rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Namespaces of its own for processes, mounts and the network: when the first process in them ends, and it ends with this
# shell, the kernel ends every other and takes the interfaces away.
setpriv --pdeathsig KILL unshare --net --mount --pid --fork --kill-child --mount-proc \
  scripts/node --disable-warning=ExperimentalWarning bench/main.ts --folder "$folder" "$@" &
bench=$!
code=0
wait $bench || code=$?
bench=
exit $code
