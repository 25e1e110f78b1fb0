#!/bin/sh
# tmux-janitor: allow default-socket
tmux ls
tmux ls # tmux-janitor: allow default-socket: it is mine
tmux new -d || exit # tmux-janitor: allow exit-code
# tmux-janitor: allow kill-server, rm-socket -- at the end of the world
tmux kill-server; rm /tmp/tmux-0/x
tmux kill-server
sh -c '
# tmux-janitor: allow kill-server
tmux kill-server'
