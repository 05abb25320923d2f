#!/bin/sh
# Runs every test, from the types to Pis that boot. Installs what it needs; needs root for namespaces and mounts.
#   scripts/test.sh           everything
#   scripts/test.sh --quick   what needs neither root nor minutes
set -eu
cd "$(dirname "$0")/.."

scripts/node --version > /dev/null 2>&1 || npm ci --no-audit --no-fund --loglevel=error
npm run --silent check
if [ "${1-}" = --quick ]; then
  exec npm test
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "The whole test run makes network namespaces and mounts: run it as root, or use --quick." >&2
  exit 1
fi
scripts/need.sh serve build lab test
shellcheck scripts/*.sh scripts/node scripts/netboot .ci/run
npm run --silent test:all
