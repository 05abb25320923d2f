#!/bin/sh
# Prints the figures of the README that depend on the machine; the quieter it is, the truer they are. Needs root.
set -eu
cd "$(dirname "$0")/.."
exec scripts/node test/rack/measure.ts
