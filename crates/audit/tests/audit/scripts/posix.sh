#!/bin/sh
# POSIX sh, old habits: backquotes, test, $?.
T=`which tmux`
uid=`id -u`
$T start-server
$T new-session -d -s main
if test $? -ne 0; then
	echo failed
fi
until tmux new -d -s other; do sleep 1; done
rc=0
sess=`tmux new -d -P` || rc=$?
trap 'tmux kill-server' EXIT INT
eval "tmux kill-server"
rm -rf /tmp/tmux-$uid
[ -z "$TMUX" ] && exit 0
tmux display x
env -i PATH="$PATH" tmux ls | grep -q main && exec tmux attach
sudo -u bot sh -c "tmux ls || rm /tmp/tmux-1000/default"
su - bot -c 'tmux new-session -d && echo ok'
