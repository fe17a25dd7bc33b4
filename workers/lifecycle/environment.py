"""The environment variables of a function's processes. Pure.

Source: Lambda Developer Guide, "Defined runtime environment variables"; the reserved ones can't be overridden.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Mapping

from hearth.model.function import FunctionVersion
from workers.lifecycle.records import Initialization

#: names that belong to the platform; CreateFunction refuses them, so here they are only left out
RESERVED = frozenset(
    {
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_MAX_CONCURRENCY",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SECRET_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)
_DEFAULTS = {
    # older X-Ray clients raise, where this does not say that they shall not, in code that runs outside an invocation
    "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
    # nobody takes segments there; a datagram to it is lost without an error
    "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
    "LANG": "en_US.UTF-8",
    "LD_LIBRARY_PATH": "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
    "TZ": ":UTC",
}


#: what the loader, the C library and others read when a program starts, whatever its language; and what starts in its
#: place
_AT_START = (
    *("LD_*", "GLIBC_TUNABLES", "MALLOC_*", "LANG", "LANGUAGE", "LC_*", "TZ", "OPENSSL_*", "SSL_CERT_*"),
    "AWS_LAMBDA_EXEC_WRAPPER",
)


def boot_environment(runtime: Mapping[str, str]) -> dict[str, str]:
    """Of a stem cell: what every function of the runtime has, unless it says otherwise."""
    return _DEFAULTS | dict(runtime)


def differs_at_start(environment: Mapping[str, str], boot: Mapping[str, str], at_start: tuple[str, ...]) -> bool:
    """Whether a function needs another environment at its runtime's start than `boot`. at_start: patterns of the names
    that its language reads then."""
    read = _pattern(at_start)
    names = {name for name, _ in environment.items() ^ boot.items()}
    return any(read.match(name) for name in names)


@functools.cache
def _pattern(at_start: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(one) for one in (*_AT_START, *at_start)))


def sandbox_environment(
    version: FunctionVersion,
    runtime: Mapping[str, str],
    credentials: Mapping[str, str],
    *,
    log_group: str,
    log_stream: str,
    initialization: Initialization = "on-demand",
) -> dict[str, str]:
    """Later wins: defaults and the runtime's, the customer's own, credentials, the platform's.

    AWS_LAMBDA_RUNTIME_API comes with spawning. Where there is no _LAMBDA_TELEMETRY_LOG_FD, runtimes print their log.
    """
    environment = _DEFAULTS | dict(runtime)
    if version.log_format == "JSON":
        environment |= {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": version.app_log_level}
    environment |= {
        name: value for name, value in version.environment.items() if name not in RESERVED and not name.startswith("_")
    }
    environment |= credentials
    environment |= {
        "_HANDLER": version.handler,
        "AWS_DEFAULT_REGION": version.region,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(version.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": version.name,
        "AWS_LAMBDA_FUNCTION_VERSION": version.version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": initialization,
        "AWS_LAMBDA_LOG_GROUP_NAME": log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "AWS_REGION": version.region,
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "LAMBDA_TASK_ROOT": "/var/task",
    }
    if not version.runtime.startswith("provided"):
        environment["AWS_EXECUTION_ENV"] = f"AWS_Lambda_{version.runtime}"
    return environment
