#!/bin/sh
# What people clean /tmp with.
find /tmp -mtime +7 -delete
find /tmp/ -mindepth 1 -atime +2 -exec rm -rf {} +
find /tmp -type s -delete
find /tmp -maxdepth 1 -mtime +3 -print0 | xargs -0 rm -rf
find /tmp -mtime +3 | sudo xargs rm -f
rm -rf /tmp/*
cd /tmp && rm -rf ./*
(cd "${TMPDIR:-/tmp}"; find . -delete)
for d in /tmp /var/tmp; do find "$d" -mtime +10 -delete; done
tmpreaper --all 7d /tmp
tmpwatch -am 168 /tmp
sudo sh -c 'find /tmp -ctime +1 -delete'
