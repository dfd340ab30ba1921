#!/bin/sh
# A web server as a service of init scripts.
set -e
mkdir -p /srv
hostname > /srv/index.html
cat > /etc/init.d/site <<'SCRIPT'
#!/bin/sh
case $1 in
    start) httpd -p 80 -h /srv ;;
    stop) killall httpd ;;
    restart) "$0" stop; "$0" start ;;
    status) pidof httpd > /dev/null ;;
esac
SCRIPT
chmod +x /etc/init.d/site
/etc/init.d/site start
echo "site: serving /srv" >> /var/log/site.log
echo serving
