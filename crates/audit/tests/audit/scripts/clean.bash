#!/bin/bash
# Everything here is as it should be, or not known.
T="tmux -L bots"
$T new-session -d -s a
tm() { tmux -L bots "$@"; }
tm new-session -d -s b
tm kill-server
tmux() { command tmux -L mine "$@"; }
tmux kill-server
alias mux='tmux -S "$HOME/s"'
mux ls
command -v tmux >/dev/null || exit 1
tmux_opts=("$@")
command tmux "${tmux_opts[@]}" ls
command tmux $TMUX_OPTS ls
command tmux ${TMUX_OPTS:-} ls
"$1" kill-server
command tmux -V
TMUX_TMPDIR=$dir command tmux new -d
TMUX=$sock,1,0 command tmux ls
if [ -n "$TMUX" ]; then command tmux display-message hi; fi
[ -z "${TMUX:-}" ] || command tmux rename-window x
command tmux -L bots new-session -d -s c || true
command tmux -L bots new-session -d -s d && command tmux -L bots has-session -t =d
command tmux -L bots new-session -d -s e || exit
command tmux -L bots has-session -t =e || exit 1
while ! command tmux -L bots has-session -t f; do command tmux -L bots new -d -s f || sleep 1; done
if [[ $RANDOM == 1 ]]; then extra="-L x"; else extra=; fi
command tmux $extra ls
echo tmux kill-server; echo "rm /tmp/tmux-0/default"
rm -f /tmp/tmux-plugins.log "$dir/x" /tmp/x.lock "/tmp/tmux-$name/x"
tmux-janitor spawn x -- tmux ls
env TMUX_TMPDIR=/run/mine tmux ls
case $TERM in tmux*) ;; esac
[[ $0 == tmux ]] && tmux -L x ls
