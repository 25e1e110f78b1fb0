#!/usr/bin/env bash
# A chat bot's start script, as many are written.
set -euo pipefail
TMUX_BIN="${TMUX_BIN:-tmux}"
SESSION=bot
log() { printf '%s\n' "$*" >&2; }
die() { log "$@"; exit 1; }
tm() { command "$TMUX_BIN" "$@"; }
start() {
  local cmd=("$TMUX_BIN" new-session -d -s "$SESSION")
  if ! tm has-session -t "=$SESSION" 2>/dev/null; then
    "${cmd[@]}" "exec ./bot" || die "no session"
  fi
}
stop() {
  tm kill-server
  rm -f "/tmp/tmux-$(id -u)/default"
}
clean() {
  for s in /tmp/tmux-"$UID"/*; do
    timeout 2 tmux -S "$s" ls >/dev/null 2>&1 || rm -f -- "$s" "$s.lock"
  done
}
case "${1:-}" in
  start) start ;;
  stop) stop ;;
  clean) clean ;;
  *) die "usage: $0 start|stop|clean" ;;
esac
