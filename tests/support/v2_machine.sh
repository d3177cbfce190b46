#!/bin/bash
# Process 1 of user-mode Linux whose root is this machine's, read-only: cgroup v2 alone, with all its controllers, then the
# script that the kernel's command line names. Files of its own are in memory.
export PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8 HOME=/run/home TMPDIR=/run/tmp PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs -o mode=755 run /run
mkdir /run/home
mkdir -m 1777 /run/tmp
ln -s /proc/self/fd /dev/fd
dmesg -n 1
ulimit -n 65536
ip link set lo up 2>/dev/null

# As a session's manager leaves them: a group that belongs to the user, with what runs in one below it.
mount -t cgroup2 -o nsdelegate none /sys/fs/cgroup
echo "+cpu +memory +pids" > /sys/fs/cgroup/cgroup.subtree_control
mkdir -p /sys/fs/cgroup/user/app
chown -R "$OWNER:$OWNER" /sys/fs/cgroup/user
echo $$ > /sys/fs/cgroup/user/app/cgroup.procs

. "$SCRIPT"
echo "exit status $?"
echo o > /proc/sysrq-trigger
sleep 60
