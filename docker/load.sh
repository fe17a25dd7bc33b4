#!/bin/sh
# locust against the stack, with the key that it accepts.
set -eu
AWS_SECRET_ACCESS_KEY=$(cat "$SECRET_ACCESS_KEY_FILE")
export AWS_SECRET_ACCESS_KEY
exec locust --locustfile /srv/tests/load/locustfile.py "$@"
