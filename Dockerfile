# One image for the API, the pollers and the orchestrators (target `hearth`), and with what sandboxes need on top (target `workers`).
# Both have the same user and folders, so that they can share volumes.

FROM python:3.11.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/hearth
WORKDIR /src
# The dependencies by themselves: this layer is made anew only when they change.
COPY pyproject.toml README.md ./
RUN mkdir -p hearth gateway workers pollers orchestrator \
    && touch hearth/__init__.py gateway/__init__.py workers/__init__.py pollers/__init__.py orchestrator/__init__.py \
    && /opt/hearth/bin/pip install . && /opt/hearth/bin/pip uninstall -y hearth
COPY hearth hearth
COPY gateway gateway
COPY workers workers
COPY pollers pollers
COPY orchestrator orchestrator
RUN rm -rf build && /opt/hearth/bin/pip install --no-deps .

FROM python:3.11.13-slim-bookworm AS hearth
COPY --from=build /opt/hearth /opt/hearth
ENV PATH=/opt/hearth/bin:$PATH HEARTH_DATA=/var/lib/hearth PYTHONDONTWRITEBYTECODE=1
# Workers write function logs beside the code: as members of the group, not as its owner.
RUN groupadd --gid 10001 hearth \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/hearth hearth \
    && install -d -o hearth -g hearth /var/lib/hearth \
    && install -d -o hearth -g hearth -m 2775 /var/lib/hearth/blobs
USER hearth
ENTRYPOINT ["hearth"]
CMD ["--help"]

FROM hearth AS workers
# In its container root lacks the power to write what is not its own; `blobs` it may write as a member of the group.
USER root
RUN chown root:root /var/lib/hearth \
    && apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap libseccomp2 \
    && rm -rf /var/lib/apt/lists/*
# The runtime clients, so that a worker starts without the network.
RUN python -c "import asyncio; from hearth.settings import Settings; from workers import runtimes; \
settings = Settings.load(); asyncio.run(runtimes.prepare(settings, print)); assert runtimes.installed(settings)"
COPY docker/workers.sh /usr/local/bin/hearth-workers
ENTRYPOINT ["hearth-workers"]
CMD ["hearth", "serve", "fleet"]
