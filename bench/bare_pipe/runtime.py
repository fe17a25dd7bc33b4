"""The runtime of the bare pipe: the interpreter and client that the platform uses, as a plain process."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from workers.runtimes import Runtime


def newest(runtimes: Iterable[Runtime]) -> Runtime:
    """The one with the highest version; families are named like python3.11."""
    return max(runtimes, key=lambda runtime: [int(part) for part in runtime.family.lstrip("python").split(".")])


def plain_command(runtime: Runtime, source: Path) -> list[str]:
    """What starts it outside of a sandbox: what a sandbox mounts is named by its path on the host."""
    environment = {
        **runtime.environment(),
        "LAMBDA_TASK_ROOT": str(source.parent),
        "_HANDLER": f"{source.stem}.handler",
        "AWS_LAMBDA_FUNCTION_NAME": "bare",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/bare",
        "AWS_LAMBDA_LOG_STREAM_NAME": "bare",
    }
    variables = [f"{name}={_on_host(runtime, value)}" for name, value in environment.items()]
    command = [_on_host(runtime, part) for part in runtime.command(environment["_HANDLER"])]
    return ["/usr/bin/env", "-C", str(source.parent), *variables, *command]


def _on_host(runtime: Runtime, text: str) -> str:
    for mount in runtime.mounts:
        text = text.replace(mount.target, str(mount.source))
    return text
