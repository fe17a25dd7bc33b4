"""Where and with what a run was made: without it a figure means nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from bench.bare_pipe.amqp import connect
from hearth.settings import Settings

_PACKAGES = ("pika", "uvicorn", "uvloop", "httptools", "redis", "hiredis", "orjson", "gunicorn", "botocore")


def machine() -> dict[str, Any]:
    """`load_before`: the load average when the run began; a busy machine spoils a run."""
    return {
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory": _field("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "load_before": os.getloadavg()[0],
    }


def commit(root: Path) -> str:
    """Short hash, `-dirty` behind it if something tracked has changed; `unknown` outside of a checkout."""
    argv = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


async def versions(settings: Settings) -> dict[str, str]:
    """Of the interpreter, the packages on the hot path, and the servers (asked themselves)."""
    assert settings.broker_url is not None
    assert settings.state_url is not None
    connection = await connect(settings.broker_url)
    rabbitmq = str(connection.server_properties["version"])
    connection.close()
    async with Redis.from_url(settings.state_url) as state:
        info = await state.info("server")
    store = {name: str(info[name]) for name in ("valkey_version", "redis_version") if name in info}
    packages = {name: version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), "rabbitmq": rabbitmq, **store, **packages}


def _field(file: str, name: str) -> str:
    for line in Path(file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"
