# rabbitmq: Debian's, started by the account and in the foreground as the official image does it.
FROM hearth-stand-in/debian:bookworm
# The package would start the server, and a container has no init to do so.
RUN printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d \
    && apt-get update \
    && apt-get install -y --no-install-recommends rabbitmq-server \
    && rm -rf /var/lib/apt/lists/* /var/lib/rabbitmq/* /var/lib/rabbitmq/.erlang.cookie \
    && chown rabbitmq:rabbitmq /var/lib/rabbitmq /var/log/rabbitmq /etc/rabbitmq
# Debian's wrapper of the programs asks for the account's name; the programs themselves don't mind.
ENV PATH=/usr/lib/rabbitmq/bin:$PATH HOME=/var/lib/rabbitmq RABBITMQ_LOGS=-
VOLUME /var/lib/rabbitmq
CMD ["rabbitmq-server"]
