# What a person put on the boot partition for the first boot, done now: "ssh" and "userconf.txt". Then the partition has done
# its duty.
if [ -e "$firmware/ssh" ] || [ -e "$firmware/ssh.txt" ]; then
  echo 'ssh on the boot partition: the SSH server starts'
  systemctl_there enable ssh.service
fi

# userconf.txt: "name:password as crypt(3) has it", for the first user, who gets that name (userconf-pi).
for file in "$firmware/userconf.txt" "$firmware/userconf"; do
  [ -f "$file" ] || continue
  line=$(head -n 1 "$file" | tr -d '\r')
  name=${line%%:*} secret=${line#*:}
  printf '%s' "$name" | grep -qxE '[a-z][a-z0-9-]{0,31}' && [ "$name" != root ] && [ -n "$secret" ] && [ "$secret" != "$line" ] ||
    fail "userconf.txt of the boot partition must be one line NAME:ENCRYPTED-PASSWORD (openssl passwd -6)"
  case $secret in *:* | *\\*) fail 'the password in userconf.txt of the boot partition is not encrypted (openssl passwd -6)' ;; esac
  first=$(awk -F: '$3 == 1000 { print $1; exit }' "$ROOT/etc/passwd")
  [ -n "$first" ] || fail 'userconf.txt of the boot partition is for the first user, and the image has none (uid 1000)'
  echo "userconf.txt: the first user, $first, is $name"
  for table in passwd shadow group gshadow subuid subgid; do
    own_file "etc/$table" || continue
    cp --preserve=mode,ownership "$ROOT/etc/$table" "table.$table"
    awk -F: -v OFS=: -v first="$first" -v name="$name" -v secret="$secret" -v table="$table" '
      $1 == first { $1 = name }
      table == "passwd" && $1 == name && $6 == "/home/" first { $6 = "/home/" name }
      table == "shadow" && $1 == name { $2 = secret }
      table ~ /group|gshadow/ {
        count = split($NF, members, ",")
        $NF = ""
        for (i = 1; i <= count; i++) $NF = $NF (i > 1 ? "," : "") (members[i] == first ? name : members[i])
      }
      { print }
    ' "table.$table" >"$table.new"
    cat "$table.new" >"table.$table"
    cp --preserve=mode,ownership "table.$table" "$(place "etc/$table")"
  done
  if [ "$first" != "$name" ] && [ -d "$ROOT/home/$first" ]; then mv "$ROOT/home/$first" "$(place "home/$name")"; fi
  # raspi-config's leave to become root without a password.
  ! own_file etc/sudoers.d/010_pi-nopasswd || sed -i "s/^$first /$name /" "$ROOT/etc/sudoers.d/010_pi-nopasswd"
  break
done
for file in custom.toml user-data firstrun.sh wpa_supplicant.conf; do
  [ ! -e "$firmware/$file" ] || ! grep -qv '^[[:space:]]*\(#.*\)\?$' "$firmware/$file" ||
    echo "NOT DONE: $file of the boot partition; put what it asks for into image.yaml (users, units, files)"
done
find "$firmware" -mindepth 1 -delete
