#!/bin/sh
# What every container of Hearth begins with; then it becomes the command.
set -eu

# The services share the volume of code and logs as members of one group: what one makes, another may remove.
umask 002

# Workers alone are root. They limit memory, CPU and processes of each sandbox by cgroups below the container's own,
# which engines mount read-only, and give each sandbox a /proc of its own, which the kernel allows only where an
# unmasked one is mounted already. The settings of networks below it are for those of sandboxes. The mounts are private to
# the container; the cgroups are its own part of the tree. What can't be done is missing then, and `hearth status` says so
# (isolation level `reduced`).
if [ "$(id -u)" = 0 ]; then
    for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
        # What a v1 freezer holds can't even be killed: a container whose first process dies with a frozen sandbox in it
        # would never end. Without one, idle sandboxes are not frozen.
        if mountpoint -q "$hierarchy" && [ "${hierarchy##*/}" != freezer ]; then
            mount -o remount,bind,rw "$hierarchy" || echo "$hierarchy stays read-only: no limits by it" >&2
        fi
    done
    if mount -t proc proc /run/proc; then
        mount --bind /run/proc/sys/net /proc/sys/net
    else
        echo "no /proc for sandboxes: no user namespaces, no way out" >&2
    fi
fi
exec "$@"
