#!/bin/sh
case $(tmux -L bot ls 2>&1) in
  "no server running on"*|"error connecting to"*) start ;;
esac
tmux -L bot ls 2>&1 | grep -qE 'no server running|error connecting' && start
tmux -L bot ls 2>&1 | grep -q 'no server running' && start
