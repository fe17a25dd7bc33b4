"""The environment variables of a function's processes. Pure.

Source: Lambda Developer Guide, "Defined runtime environment variables"; the reserved ones can't be overridden.
"""

from __future__ import annotations

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
    "LANG": "en_US.UTF-8",
    "LD_LIBRARY_PATH": "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
    "TZ": ":UTC",
}


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

    AWS_LAMBDA_RUNTIME_API comes with spawning; there is no _LAMBDA_TELEMETRY_LOG_FD, so runtimes print their log.
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
