# The role "web": nginx and its two mounts exist only while web-cluster-node.target is on.
systemctl disable nginx

mkdir -p /var/lib/nginx /mnt/www

site=/etc/nginx/sites-available/default
for line in 'listen 80 default_server;' 'listen \[::\]:80 default_server;' 'root /var/www/html;'; do
  grep -qx "[[:space:]]*$line" "$site" || {
    echo "$site has no line \"$line\" to change: this nginx package has another default site" >&2
    exit 1
  }
done
sed -i \
  -e 's,^\([[:space:]]*\)listen 80 default_server;$,\1#&\n\1listen 8000 default_server;,' \
  -e 's,^\([[:space:]]*\)listen \[::\]:80 default_server;$,\1#&\n\1listen [::]:8000 default_server;,' \
  -e 's,^\([[:space:]]*\)root /var/www/html;$,\1#&\n\1root /mnt/www/html;,' \
  "$site"

systemctl add-wants web-cluster-node.target nginx.service
