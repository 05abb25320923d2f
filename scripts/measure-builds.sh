#!/bin/sh
# Measures image builds beside a bare mmdebstrap of the same packages and writes bench/builds.md: about half an hour on 2
# processors. Needs root, and a Debian mirror in the host's apt sources.
set -eu
cd "$(dirname "$0")/.."
if [ "$(id -u)" -ne 0 ]; then
  echo "Images are built by root: run it as root." >&2
  exit 1
fi
scripts/need.sh serve build lab bench
scripts/node --version > /dev/null 2>&1 || npm ci --no-audit --no-fund --loglevel=error
exec scripts/node --disable-warning=ExperimentalWarning bench/builds.ts "$@"
