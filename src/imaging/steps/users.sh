# People: $INPUT/users has lines "name uid groups shell home" ("-" for what is not told), $INPUT/rootfs/ their SSH keys,
# $INPUT/owners what else is theirs. By the host's own useradd on the root's files, whose dates follow $SOURCE_DATE_EPOCH; no
# password lets anybody in.
shell_of_root() { for shell in /bin/bash /bin/sh; do [ ! -e "$ROOT$shell" ] || break; done; echo "$shell"; }

while read -r name uid groups shell home; do
  set --
  [ "$uid" = - ] || set -- "$@" --uid "$uid"
  [ "$groups" = - ] || set -- "$@" --groups "$groups"
  if grep -q "^$name:" "$ROOT/etc/passwd"; then
    [ "$groups" = - ] || set -- --append "$@"
    [ "$shell" = - ] || set -- "$@" --shell "$shell"
    [ "$home" = - ] || set -- "$@" --home "$home"
    [ $# -eq 0 ] || usermod --prefix "$ROOT" "$@" "$name"
    continue
  fi
  [ "$shell" != - ] || shell=$(shell_of_root)
  [ "$home" != - ] || home=/home/$name
  # None of this host's settings.
  useradd --prefix "$ROOT" --user-group --no-create-home --password '*' --home-dir "$home" --shell "$shell" \
    -K UID_MIN=1000 -K UID_MAX=60000 -K GID_MIN=1000 -K GID_MAX=60000 "$@" "$name"
  stay_in_root "$home"
  mkdir -p "$(dirname "$ROOT$home")"
  # What rootfs/ brings of it stays as the recipe says.
  [ -d "$ROOT$home" ] || mkdir "$ROOT$home"
  ids=$(awk -F: -v name="$name" '$1 == name { print $3 ":" $4 }' "$ROOT/etc/passwd")
  chown "$ids" "$ROOT$home"
  chmod 700 "$ROOT$home"
  if [ -d "$ROOT/etc/skel" ]; then
    cp -R "$ROOT/etc/skel" skel
    chown -R --no-dereference "$ids" skel
    cp -R --no-clobber --preserve=mode,ownership skel/. "$ROOT$home/"
    rm -r skel
  fi
done <"$INPUT/users"
lay_over_root rootfs
. "$LIB/owners.sh"
