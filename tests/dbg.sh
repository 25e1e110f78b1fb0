set -u
mkdir -p /tmp/m /tmp/n; 
python3 - <<'P' &
import socket,time,os
s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.bind('/tmp/n/notify')
import sys
while True:
    d=s.recv(4096); 
P
sleep 0.5
mkfifo /tmp/fifo
( exec unshare --mount --propagation private -- $PWD/tests/machine/supervisor /tmp/m $PWD $PWD/target/debug/tmux-janitor /tmp/n/notify </tmp/fifo >/tmp/sup.out 2>/tmp/sup.err ) &
exec 7>/tmp/fifo
echo boot >&7
for i in $(seq 50); do sleep 0.2; p=$(sed -n 's/^pid //p' /tmp/sup.out|tail -1); [ -n "$p" ] && break; done
echo pid $p
sleep 5
cg=$(awk '$3=="cgroup2"{print $2; exit}' /proc/self/mounts)/$(ls -t $(awk '$3=="cgroup2"{print $2; exit}' /proc/self/mounts) | grep tmux-janitor-test | tail -1)
echo cg $cg; mkdir $cg/visitors
ent() { sh -c "echo \$\$ >$cg/visitors/cgroup.procs; exec nsenter --target $p --mount --uts --ipc --net --pid --cgroup --root --wd env -i PATH=$PATH timeout 20 \"\$@\"" x "$@"; }
ent systemctl is-system-running
ent sh -c 'useradd --create-home --shell /bin/sh ann; loginctl enable-linger ann; systemctl start user@$(id -u ann).service'
ent sh -c 'systemctl is-system-running --wait; ps axf'
time ent systemctl reboot; echo rc $?
sleep 6
ent systemctl list-jobs --no-pager
ent ps axf 2>/dev/null| head -40
ent journalctl -b --no-pager -n 25
cat /tmp/sup.out; tail -5 /tmp/sup.err
