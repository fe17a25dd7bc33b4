# prom/prometheus: Debian's, with the account, folder and arguments of the official image.
FROM hearth-stand-in/debian:bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends prometheus busybox \
    && rm -rf /var/lib/apt/lists/* \
    && ln -s /bin/busybox /usr/local/bin/wget \
    && install -d -o nobody -g nogroup /prometheus /etc/prometheus
USER nobody
VOLUME /prometheus
WORKDIR /prometheus
ENTRYPOINT ["prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
