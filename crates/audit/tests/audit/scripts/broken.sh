#!/bin/sh
tmux kill-server
if then ((
b) x
tmux -L a ls
esac done }
tmux ls
