"""The variables of a function's processes."""

from __future__ import annotations

from dataclasses import replace

from hearth.model.function import FunctionVersion
from workers.lifecycle.environment import sandbox_environment

VERSION = FunctionVersion(
    "k", "000000000000", "us-east-1", "f", "7", "python3.11", "app.handler", "role", "0" * 64, memory_mb=256
)


def environment(version: FunctionVersion = VERSION, **customer: str) -> dict[str, str]:
    return sandbox_environment(
        replace(version, environment=customer),
        {"PYTHONPATH": "/var/runtime"},
        {"AWS_ACCESS_KEY_ID": "role's"},
        log_group="/aws/lambda/f",
        log_stream="2025/01/02/[7]abc",
    )


def test_the_platform_names_the_function() -> None:
    found = environment()
    assert found["_HANDLER"] == "app.handler"
    assert found["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.11"
    assert found["AWS_LAMBDA_FUNCTION_NAME"] == "f"
    assert found["AWS_LAMBDA_FUNCTION_VERSION"] == "7"
    assert found["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert found["AWS_LAMBDA_INITIALIZATION_TYPE"] == "on-demand"
    assert found["AWS_LAMBDA_LOG_STREAM_NAME"] == "2025/01/02/[7]abc"
    assert found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == "us-east-1"
    assert (found["LAMBDA_TASK_ROOT"], found["LAMBDA_RUNTIME_DIR"], found["TZ"]) == (
        "/var/task",
        "/var/runtime",
        ":UTC",
    )


def test_clients_of_xray_are_told_not_to_fail_where_nothing_is_traced() -> None:
    found = environment()
    assert (found["AWS_XRAY_CONTEXT_MISSING"], found["AWS_XRAY_DAEMON_ADDRESS"]) == ("LOG_ERROR", "127.0.0.1:2000")
    assert environment(AWS_XRAY_CONTEXT_MISSING="RUNTIME_ERROR")["AWS_XRAY_CONTEXT_MISSING"] == "RUNTIME_ERROR"


def test_the_customer_overrides_defaults_only() -> None:
    found = environment(TZ="Europe/Berlin", PYTHONPATH="/opt", AWS_REGION="x", AWS_ACCESS_KEY_ID="mine", STAGE="prod")
    assert (found["TZ"], found["PYTHONPATH"], found["STAGE"]) == ("Europe/Berlin", "/opt", "prod")
    assert (found["AWS_REGION"], found["AWS_ACCESS_KEY_ID"]) == ("us-east-1", "role's")


def test_names_with_a_leading_underscore_are_not_passed_on() -> None:
    found = environment(_HANDLER="other.handler", _LAMBDA_TELEMETRY_LOG_FD="9")
    assert found["_HANDLER"] == "app.handler"
    assert "_LAMBDA_TELEMETRY_LOG_FD" not in found


def test_log_format_is_passed_for_json_only() -> None:
    assert "AWS_LAMBDA_LOG_FORMAT" not in environment()
    json = environment(replace(VERSION, log_format="JSON"))
    assert (json["AWS_LAMBDA_LOG_FORMAT"], json["AWS_LAMBDA_LOG_LEVEL"]) == ("JSON", "INFO")


def test_provided_runtimes_have_no_execution_env() -> None:
    assert "AWS_EXECUTION_ENV" not in environment(replace(VERSION, runtime="provided.al2023"))
