#!/bin/bash
main() { helper "$@"; wrapper kill-server; wrapper -L x kill-server; deep new-session -d || exit; }
wrapper() { tmux "$@"; }
deep() { wrapper "$@"; }
helper() { local T=tmux; $T -L "$1" new -d -s "$1" || return 1; }
never_called() { tmux "$@"; tmux kill-server; }
recursive() { recursive "$@"; tmux ls; }
main x
recursive
function with_keyword { shift; tmux "$@"; }
with_keyword x kill-server
