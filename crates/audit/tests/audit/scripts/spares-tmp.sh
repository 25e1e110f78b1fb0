#!/bin/sh
# What leaves sockets alone, or is not known.
find /tmp -type f -mtime +7 -delete
find /tmp -mtime +7 ! -path '/tmp/tmux-*' -delete
find /tmp -path '/tmp/tmux-*' -prune -o -mtime +1 -exec rm -rf {} +
find /tmp -mtime +7 -not -type s -delete
find /tmp -maxdepth 1 -mtime +7 -exec rm -f {} +
find /tmp -name 'build-*' -exec rm -rf {} +
find /tmp -mtime +7 | grep -v tmux | xargs rm -rf
find /tmp -mtime +7 -type f -print0 | xargs -0 rm -f
find "$DIR" -delete
find /var/tmp -delete
rm -rf /tmp/build-* "/tmp/$NAME" /tmp/$$
rm -f /tmp/*
cd /tmp/build && rm -rf ./*
cd "$WHERE" && rm -rf ./*
tmpreaper 7d /tmp
tmpreaper --all --protect '/tmp/tmux-*' 7d /tmp
