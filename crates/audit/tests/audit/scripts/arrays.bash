#!/bin/bash
declare -a base=(tmux -2u)
socket=(-L "$NAME")
"${base[@]}" "${socket[@]}" new-session -d
"${base[@]}" kill-server
base+=(-S /run/bot/tmux.sock)
"${base[@]}" kill-server
rm -f /run/bot/tmux.sock /run/bot/tmux.sock.lock
[[ -S /run/bot/tmux.sock && -n $x ]] && (cd / && "${base[@]}" new -d) || { echo no; exit 1; }
find "/tmp/tmux-$EUID" -type s -mmin +60 -delete
find /tmp/tmux-*/ -name '*.lock' -exec rm -f {} +
printf -v base x
$base ls
{ tmux ls; } 2>/dev/null | while read -r line; do tmux kill-session -t "${line%%:*}"; done
mapfile -t lines < <(tmux ls)
coproc_output=$( { exec tmux attach; } )
(( n++ )); time tmux ls &
for n in a b; do for l in x y; do tmux -L "$l" kill-server; tmux new -ds "$n"; done; done
