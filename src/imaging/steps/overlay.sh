# The recipe's rootfs/ tree, owned by root; of the modes only "executable" counts, as in git.
[ ! -d "$RECIPE/rootfs" ] ||
  tar -C "$RECIPE/rootfs" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --create . |
  tar -C "$ROOT" --extract --no-overwrite-dir --keep-directory-symlink --same-permissions
