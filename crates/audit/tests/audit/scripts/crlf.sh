#!/bin/sh
T=tmux
$T kill-server
tmux -L a ls
cat <<E | sh
x
E
if tmux new -d
then :
fi
