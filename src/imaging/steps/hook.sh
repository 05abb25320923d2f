# One of the recipe's hooks/, inside the root, as the program that its first line names. $HOOK; the recipe's variables are
# $VAR_…, everything else of the environment is the build's and not for it.
keep_services_down
install -m 755 "$INPUT/hooks/$HOOK" "$ROOT/run/$HOOK"
(
  set -- "$ROOT" "/run/$HOOK"
  unset HOOK OLDPWD INPUT LIB WORK OUT ARTIFACTS DEBS LOWER UPPER OVERLAY_WORK NETWORK EMULATE ROOT
  export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  exec chroot "$@"
)
