#!/bin/sh -eu
# Debian's default site on another port, with the shared document root; nothing else of it changes.
site=/etc/nginx/sites-available/default
for line in 'listen 80 default_server;' 'listen \[::\]:80 default_server;' 'root /var/www/html;'; do
  grep -qx "[[:space:]]*$line" "$site" || {
    echo "$site has no line \"$line\" to change: this nginx package has another default site" >&2
    exit 1
  }
done
sed -i \
  -e "s,^\([[:space:]]*\)listen 80 default_server;$,\1#&\n\1listen $VAR_PORT default_server;," \
  -e "s,^\([[:space:]]*\)listen \[::\]:80 default_server;$,\1#&\n\1listen [::]:$VAR_PORT default_server;," \
  -e 's,^\([[:space:]]*\)root /var/www/html;$,\1#&\n\1root /mnt/www/html;,' \
  "$site"
