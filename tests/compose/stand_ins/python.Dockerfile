# python:*-slim-bookworm: Debian's Python under the name that the official image gives it.
FROM hearth-stand-in/debian:bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && ln -s /usr/bin/python3 /usr/local/bin/python3 \
    && ln -s python3 /usr/local/bin/python
CMD ["python3"]
