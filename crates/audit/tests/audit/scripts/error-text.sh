#!/bin/bash
# Which of the two things that tmux says is looked for.
out=$(tmux -L bot ls 2>&1)
tmux -L bot ls 2>&1 | grep -q 'no server running on'
if [[ $out == *"no server running"* ]]; then start; fi
case $out in
  *"no server running"*) start ;;
esac
test "$out" = "no server running on /tmp/tmux-0/bot" && start
pattern='No server running'
grep -qi "$pattern" <<<"$out"
echo "no server running on it"
