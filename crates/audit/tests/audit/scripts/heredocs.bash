#!/bin/bash
bash <<EOF
tmux new -d
tmux -L $label ls
EOF
ssh host bash -s <<'EOF' | cat
	if tmux new-session -d; then echo; fi
EOF
cat > /etc/systemd/system/bot.service <<EOF
[Service]
Type=oneshot
ExecStart=/usr/bin/tmux -L bot new-session -d
EOF
cat <<'EOF' >~/start.sh && chmod +x ~/start.sh
#!/bin/sh
tmux kill-server
EOF
cat <<EOF
tmux kill-server
$(tmux ls)
EOF
sh <<< "tmux ls"
