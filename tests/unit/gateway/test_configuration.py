"""Function configurations: checks, defaults, what an update leaves alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from gateway.lambda_api import configuration
from hearth.credentials import EnvironmentCipher
from hearth.errors import HearthError, InvalidParameterValue, ValidationFailed
from hearth.model.function import FunctionVersion
from hearth.store.functions import FunctionRecord

CIPHER = EnvironmentCipher(b"secret")


def a_record(**changes: Any) -> FunctionRecord:
    version = FunctionVersion(
        key="k",
        account="000000000000",
        region="us-east-1",
        name="f",
        version="$LATEST",
        runtime="python3.11",
        handler="app.handler",
        role="arn:aws:iam::000000000000:role/r",
        code_sha256="00" * 32,
        log_group="/aws/lambda/f",
    )
    record = FunctionRecord(version, "revision", "Active", "Successful", 1_735_783_445_678, 0, 10)
    return dataclasses.replace(record, **changes)


def refused(**given: Any) -> HearthError:
    with pytest.raises(HearthError) as caught:
        configuration.check(given)
    return caught.value


def test_settled_function_is_answered_with_awss_defaults() -> None:
    shown = configuration.answer(a_record(), CIPHER)

    assert shown["LastModified"] == "2025-01-02T02:04:05.678+0000"
    assert (shown["State"], shown["LastUpdateStatus"]) == ("Active", "Successful")
    assert (shown["Timeout"], shown["MemorySize"], shown["EphemeralStorage"]) == (3, 128, {"Size": 512})
    assert shown["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"}
    assert "Environment" not in shown
    assert "StateReason" not in shown


def test_pending_function_has_a_reason_and_no_update_status() -> None:
    shown = configuration.answer(a_record(state="Pending", last_update_status="", unsettled_since_ms=1), CIPHER)

    assert (shown["State"], shown["StateReasonCode"]) == ("Pending", "Creating")
    assert "LastUpdateStatus" not in shown


def test_listed_function_leaves_states_out() -> None:
    shown = configuration.answer(a_record(), CIPHER, listed=True)

    assert not {"State", "LastUpdateStatus", "RuntimeVersionConfig"} & shown.keys()


def test_update_changes_only_what_is_given() -> None:
    before = configuration.apply(a_record(), {"Environment": {"Variables": {"KEY": "v"}}, "Timeout": 9}, CIPHER)
    after = configuration.apply(before, {"MemorySize": 256, "Description": "d"}, CIPHER)
    shown = configuration.answer(after, CIPHER)

    assert (shown["Timeout"], shown["MemorySize"], shown["Description"]) == (9, 256, "d")
    assert shown["Environment"] == {"Variables": {"KEY": "v"}}


def test_variables_are_not_readable_in_what_is_stored() -> None:
    record = configuration.apply(a_record(), {"Environment": {"Variables": {"KEY": "hush-hush"}}}, CIPHER)

    assert b"hush-hush" not in record.to_json()
    assert b"hush-hush" not in record.version.to_json()
    assert FunctionRecord.from_json(record.to_json()) == record
    with pytest.raises(HearthError):
        EnvironmentCipher(b"another").unseal(record.version)


def test_empty_environment_replaces_the_former_and_is_shown() -> None:
    record = configuration.apply(a_record(), {"Environment": {"Variables": {"KEY": "v"}}}, CIPHER)
    emptied = configuration.apply(record, {"Environment": {"Variables": {}}}, CIPHER)

    assert configuration.answer(emptied, CIPHER)["Environment"] == {"Variables": {}}


def test_json_logging_brings_both_levels() -> None:
    record = configuration.apply(a_record(), {"LoggingConfig": {"LogFormat": "JSON", "LogGroup": "own"}}, CIPHER)

    assert configuration.answer(record, CIPHER)["LoggingConfig"] == {
        "LogFormat": "JSON",
        "ApplicationLogLevel": "INFO",
        "SystemLogLevel": "INFO",
        "LogGroup": "own",
    }
    assert (record.version.log_format, record.version.log_group) == ("JSON", "own")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"Runtime": "cobol"},
            "Value cobol at 'runtime' failed to satisfy constraint: Member must satisfy enum value ",
        ),
        (
            {"Runtime": "python2.7"},
            "The runtime parameter of python2.7 is no longer supported for creating or updating",
        ),
        ({"Layers": ["a"] * 6}, "Cannot reference more than 5 layers."),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "Lambda was unable to configure your environment "),
        ({"Environment": {"Variables": {"KEY": "x" * 4096}}}, "Lambda was unable to configure your environment "),
        ({"PackageType": "Image"}, "Container images are not supported"),
        (
            {"DeadLetterConfig": {"TargetArn": "arn:aws:s3:::aside"}},
            "The dead letter target arn:aws:s3:::aside is neither",
        ),
        ({"DeadLetterConfig": {"TargetArn": "arn:aws:sqs:::q"}}, "The dead letter target arn:aws:sqs:::q is neither"),
    ],
)
def test_what_cannot_be_run_is_refused(given: dict[str, Any], text: str) -> None:
    error = refused(**given)

    assert isinstance(error, InvalidParameterValue)
    assert error.message.startswith(text)


@pytest.mark.parametrize(("member", "value", "maximum"), [("Timeout", 901, 900), ("MemorySize", 10_241, 10_240)])
def test_ordinary_functions_have_narrower_limits_than_the_model(member: str, value: int, maximum: int) -> None:
    error = refused(**{member: value})

    assert isinstance(error, ValidationFailed)
    assert error.message.endswith(f"Member must have value less than or equal to {maximum}")
