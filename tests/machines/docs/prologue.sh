# What the scripts that set a scene may say, besides everything that a shell can: live, dead, within.

# Waits for a condition: within 90 s it holds, or the scene fails.
until_it_holds() {
  local left=9000
  until "$@"; do
    ((left -= 1)) || { echo "in vain: $*"; return 1; }
    sleep 0.01
  done
}

# live LABEL...: a server with a session for each.
live() {
  local label
  for label; do tmux -L "$label" new-session -d sleep 1000 || return; done
}

# nobody_has PATH: no socket of that path is left in the kernel.
nobody_has() { ! grep -q " $1\$" /proc/net/unix; }

# gone PID: the process has ended.
gone() { ! kill -0 "$1" 2>/dev/null; }

# dead LABEL...: the socket of a server that has ended.
dead() {
  local label server
  for label; do
    live "$label" || return
    server=$(tmux -L "$label" display-message -p '#{pid} #{socket_path}')
    kill -KILL "${server%% *}"
    until_it_holds nobody_has "${server#* }" || return
  done
}

# The servers that run.
servers() { grep -l '^tmux: server$' /proc/[0-9]*/comm 2>/dev/null; }

# A pane's process is called as its server is until it has become what was asked for. The servers themselves have
# the first process as parent.
settled() {
  local comm
  for comm in $(servers); do
    grep -qx "PPid:[[:space:]]*1" "${comm%comm}status" 2>/dev/null || return 1
  done
}

# kill-server comes back before the server has ended: after such a command the next one waits for that.
has_changed() { [[ $(servers) != "$1" ]]; }

# Somebody looks at what `list` shows: on a terminal of 100 columns, where it is not read through a pipe.
tmux-janitor() {
  if [[ ${1-} != list || ! -f /dev/stdout ]]; then
    command tmux-janitor "$@"
    return
  fi
  # Who types there never comes to an end, which would be shown, too.
  local nobody=/run/docs/out/nobody
  [[ -p $nobody ]] || mkfifo "$nobody"
  [[ -n ${CLICOLOR_FORCE-} ]] || local -x NO_COLOR=1
  script --quiet --return --command "stty columns 100 -onlcr; exec tmux-janitor $(printf '%q ' "$@")" /dev/null <>"$nobody"
}
