"""The runtime of the bare pipe: the interpreter and client that the platform uses, as a plain process."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from hearth.embedded.process import StartFailed
from workers.runtimes import Runtime


def chosen(runtimes: Mapping[str, Runtime]) -> Runtime:
    """The Python that runs the benchmark, if it is among them. Raises StartFailed where there is none at all."""
    if not runtimes:
        raise StartFailed("No runtime could be prepared. Needed: Python >= 3.9 and pip.")
    own = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return runtimes.get(own) or next(iter(runtimes.values()))


def plain_command(runtime: Runtime, source: Path) -> list[str]:
    """What starts it outside of a sandbox: what a sandbox mounts is named by its path on the host."""
    environment = {
        **runtime.environment(),
        # The client polls in a thread of its own for each event from 3.12 on, if it sees that it is on Lambda.
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{runtime.family}",
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
