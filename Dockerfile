# Three images: `hearth` for the API, the pollers and the orchestrators, `workers` with what sandboxes need on top, `load`
# with locust. The first two have the same group and folders, so that they can share a volume.

FROM python:3.11.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_DEFAULT_TIMEOUT=60
RUN python -m venv /opt/hearth \
    && apt-get update && apt-get install -y --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The dependencies by themselves: this layer is made anew only when they change. Symbols for debuggers are 27 MB of them.
COPY pyproject.toml ./
RUN mkdir -p hearth gateway workers pollers orchestrator \
    && touch README.md hearth/__init__.py gateway/__init__.py workers/__init__.py pollers/__init__.py orchestrator/__init__.py \
    && /opt/hearth/bin/pip install . && /opt/hearth/bin/pip uninstall -y hearth \
    && find /opt/hearth -name '*.so' -exec strip --strip-unneeded {} +
COPY hearth hearth
COPY gateway gateway
COPY workers workers
COPY pollers pollers
COPY orchestrator orchestrator
RUN rm -rf build && /opt/hearth/bin/pip install --no-deps .
# The runtime clients, so that a worker starts without the network. After this nobody needs pip.
RUN HEARTH_DATA=/srv/hearth /opt/hearth/bin/python -c "import asyncio; from hearth.settings import Settings; \
from workers import runtimes; settings = Settings.load(); asyncio.run(runtimes.prepare(settings, print)); \
assert 'python3.11' in runtimes.installed(settings), 'no runtime client for Python'" \
    && /opt/hearth/bin/pip uninstall -y pip setuptools

FROM python:3.11.13-slim-bookworm AS hearth
COPY --from=build /opt/hearth /opt/hearth
ENV PATH=/opt/hearth/bin:$PATH HEARTH_DATA=/var/lib/hearth PYTHONDONTWRITEBYTECODE=1
# Workers write function logs beside the code: as members of the group, not as its owner.
RUN groupadd --gid 10001 hearth \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/hearth hearth \
    && install -d -o hearth -g hearth /var/lib/hearth \
    && install -d -o hearth -g hearth -m 2775 /var/lib/hearth/blobs
COPY docker/entrypoint.sh /usr/local/bin/hearth-entrypoint
USER hearth
ENTRYPOINT ["hearth-entrypoint"]
CMD ["hearth", "--help"]

FROM hearth AS workers
# In its container root lacks the power to write what is not its own; `blobs` it may write as a member of the group.
USER root
RUN chown root:root /var/lib/hearth \
    && apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap libseccomp2 nftables slirp4netns \
    && rm -rf /var/lib/apt/lists/* \
    && mkdir /run/proc /run/hearth
COPY --from=build /srv/hearth/runtimes /var/lib/hearth/runtimes
CMD ["hearth", "serve", "fleet"]

FROM python:3.11.13-slim-bookworm AS build-load
RUN python -m venv /opt/load
COPY pyproject.toml ./
RUN python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["load"])' \
    | xargs /opt/load/bin/pip install --no-cache-dir boto3

FROM python:3.11.13-slim-bookworm AS load
COPY --from=build-load /opt/load /opt/load
ENV PATH=/opt/load/bin:$PATH PYTHONDONTWRITEBYTECODE=1
RUN useradd --uid 10001 --no-create-home hearth
COPY tests/load /srv/tests/load
COPY tests/support/functions.py /srv/tests/support/functions.py
COPY docker/load.sh /usr/local/bin/hearth-load
USER hearth
ENTRYPOINT ["hearth-load"]
