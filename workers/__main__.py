"""One worker process: `python -m workers INDEX WORKER_ID FLEET_PID`, started by the fleet. Puts the parts together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from hearth import credentials, service
from hearth.blobs import BlobStore
from hearth.broker.connection import Broker
from hearth.errors import InvalidRuntime
from hearth.limits import Limits
from hearth.log import configure
from hearth.logs import LogWriter
from hearth.model.function import FunctionVersion
from hearth.settings import Settings
from hearth.store import Stores
from workers import runtimes
from workers.autoscaler import Bounds, share_of
from workers.billing import BillWriter
from workers.code_cache import CodeCache
from workers.gateway_link import GatewayLink
from workers.lifecycle.cell_start import usual_kind
from workers.pool import MAX_AGE_S
from workers.sandbox.sandbox import Sandbox, Services
from workers.sandbox.stem_cells import StemCells
from workers.sandbox.supervisor import Egress, EgressPolicy, Supervisor
from workers.service import Worker

log = logging.getLogger("workers")

#: network namespaces kept ready
POOLED_NAMESPACES = 8
#: a sandbox of a small function really takes about this much
MB_PER_SANDBOX = 64
#: credentials outlive every sandbox that got them
CREDENTIALS_TTL_S = MAX_AGE_S + 3600


def on_end_of(pipe: int, then: Callable[[], None]) -> None:
    """Call `then` once when the other end of a pipe has been closed. Needs the running event loop."""
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if not os.read(pipe, 4096):
            loop.remove_reader(pipe)
            then()

    loop.add_reader(pipe, readable)


def capacity_of(settings: Settings, index: int) -> int:
    """A worker's share of the host's room."""
    if settings.max_sandboxes is not None:
        room = settings.max_sandboxes
    else:
        memory_mb = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
        room = min(1000, max(8, memory_mb * 3 // 4 // MB_PER_SANDBOX))
    return share_of(room, Bounds.of(settings).maximum, index)


async def work(settings: Settings, index: int, worker_id: str, stop: asyncio.Event) -> None:
    """Connect, serve until `stop`, and leave nothing behind."""
    hurried = asyncio.Event()
    on_end_of(sys.stdin.fileno(), hurried.set)
    stores = Stores.connect(settings)
    assert settings.broker_url is not None, "resolved by hearth.cli"
    broker = await Broker.connect(settings.broker_url, name=f"worker {worker_id}")
    secret = await credentials.platform_secret(settings, stores)
    offered = runtimes.offered(settings)
    supervisor = await Supervisor.create(
        want=settings.isolation,
        platform=settings.function_address,
        pool=POOLED_NAMESPACES,
        log=log,
        egress=await egress_policy(settings),
        disks=disks_folder(settings),
    )
    egress = Egress(settings.egress)
    usual = [usual_kind(runtime, egress) for runtime in offered.values() if not runtime.stands_for]
    limits = Limits.of(settings)
    cells = StemCells(
        supervisor, base=settings.stem_cells, first=[kind for kind in usual if kind is not None], limits=limits
    )
    shared = Services(
        logs=LogWriter(settings.blobs_dir, writer_id=worker_id, retention_days=settings.log_retention_days),
        bills=BillWriter(settings.blobs_dir, writer_id=worker_id),
        environment=lambda version, _sandbox_id: role_credentials(settings, secret, version),
        init_s=settings.init_seconds,
        billing=settings.billing,
        cpu=settings.cpu,
        egress=egress,
        cells=cells,
        limits=limits,
    )
    gateway = GatewayLink(settings.remote_gateway, secret) if settings.remote_gateway else None
    blobs = BlobStore(settings.blobs_dir)
    code = CodeCache(settings.data / "code", blobs, gateway.package if gateway else None)

    async def new_sandbox(version: FunctionVersion, provisioned: bool) -> Sandbox:
        runtime = offered.get(version.family)
        if runtime is None:
            raise InvalidRuntime(f"No worker offers the runtime {version.family}.")
        code_dir = await code.fetch(version.code_sha256)
        layers_dir = await code.fetch_layers(version.layers)
        return Sandbox(
            version,
            code_dir=code_dir,
            layers_dir=layers_dir,
            runtime=runtime,
            supervisor=supervisor,
            services=shared,
            provisioned=provisioned,
        )

    worker = Worker(
        settings,
        broker,
        stores,
        new_sandbox,
        unseal=credentials.EnvironmentCipher(secret).unseal,
        worker_id=worker_id,
        offer=offered,
        capacity=capacity_of(settings, index),
        isolation=supervisor.level.value,
        hurried=hurried,
    )
    try:
        async with asyncio.TaskGroup() as tasks:
            keeping = tasks.create_task(cells.keep(), name="stem-cells")
            await worker.run(stop)
            keeping.cancel()
    finally:
        await supervisor.close()
        await shared.logs.close()
        await shared.bills.close()
        await broker.close()
        await stores.close()
        if gateway is not None:
            gateway.close()


async def egress_policy(settings: Settings) -> EgressPolicy:
    """Broker and state are closed to functions wherever they are."""
    urls = (settings.broker_url, settings.state_url, settings.coordination_url)
    hosts = {urlsplit(part.strip()).hostname for url in urls for part in (url or "").split(",")} - {None}
    never: set[str] = set()
    for host in hosts:
        with contextlib.suppress(OSError):  # a name that leads nowhere leads functions nowhere either
            found = await asyncio.get_running_loop().getaddrinfo(host, None, family=socket.AF_INET)
            never |= {str(address[0]) for *_, address in found}
    allowed = [part.strip() for part in (settings.egress_allow or "").split(",") if part.strip()]
    return EgressPolicy(Egress(settings.egress), never=tuple(sorted(never)), allowed=tuple(allowed))


def disks_folder(settings: Settings) -> Path:
    folder = settings.data / "disks"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def role_credentials(settings: Settings, secret: bytes, version: FunctionVersion) -> Mapping[str, str]:
    """What a sandbox gets of its function's role, and where it finds the platform."""
    expires_at_s = int(time.time() + CREDENTIALS_TTL_S)
    session = credentials.Session(version.account, version.region, version.role, version.name, expires_at_s)
    minted = credentials.mint(secret, session)
    environment = {
        "AWS_ACCESS_KEY_ID": minted.access_key_id,
        "AWS_SECRET_ACCESS_KEY": minted.secret_access_key,
        "AWS_SESSION_TOKEN": minted.session_token,
    }
    if settings.function_endpoint_url:
        environment["AWS_ENDPOINT_URL"] = settings.function_endpoint_url
    return environment


def main() -> None:
    index, worker_id, fleet_pid = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    service.end_with_parent(fleet_pid)
    settings = Settings.load()
    configure(settings)
    service.run(lambda stop: work(settings, index, worker_id, stop))


if __name__ == "__main__":
    main()
