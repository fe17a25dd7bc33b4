#!/bin/sh
# Makes this container's own cgroups writable, then becomes the command.
#
# Engines mount them read-only, and Hearth limits memory, CPU and processes of each sandbox by cgroups below them. The
# mounts are private to the container and show its own part of the tree only. Where it can't be done the limits are
# missing, and `hearth status` says so (isolation level `reduced`).
set -eu

for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*; do
    if mountpoint -q "$hierarchy"; then
        mount -o remount,bind,rw "$hierarchy" || echo "$hierarchy stays read-only: no limits by it" >&2
    fi
done
exec "$@"
