#!/bin/sh
# cafι ÿώ
echo "ιθ" π€; tmux ls
οΏ½
X=ÿ; tmux -L "$X" ls
