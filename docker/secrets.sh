#!/bin/sh
# Makes the secrets that docker-compose.yml names, each a random one in a file of ./secrets. Those that are there stay.
#
# The folder is this user's alone. The files in it can be read by all, because each is mounted by itself into the
# containers that need it, where other users run.
set -eu

umask 077
mkdir -p secrets
for name in rabbitmq_password valkey_password platform_secret secret_access_key grafana_password; do
    if [ ! -s "secrets/$name" ]; then
        # They become parts of URLs: letters and digits only.
        od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > "secrets/$name"
        chmod 444 "secrets/$name"
        echo "made secrets/$name"
    fi
done
