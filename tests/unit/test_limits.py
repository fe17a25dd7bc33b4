"""The table of AWS's quotas, and the settings behind it."""

from __future__ import annotations

import dataclasses

import pytest

from hearth.limits import AWS_LIMITS, TABLE, Limits, Row
from hearth.settings import Settings

_UNITS = {"KB": 2**10, "MB": 2**20, "GB": 2**30}


@pytest.mark.parametrize("row", [row for row in TABLE if row.setting], ids=lambda row: row.setting)
def test_every_limit_is_a_setting_whose_default_is_awss_value(row: Row) -> None:
    number, _, unit = row.aws.partition(" ")
    aws = int(number) * _UNITS.get(unit, 1)
    ours = Settings.model_fields[row.setting].default
    assert ours in (aws, 0 if "no limit" in row.note else aws)


def test_what_is_not_limited_says_why() -> None:
    assert all(row.note for row in TABLE if not row.setting)


def test_settings_reach_the_parts() -> None:
    names = {field.name: row for field, row in zip(dataclasses.fields(Limits), range(10_000, 10_100), strict=False)}
    settings = {
        "timeout_s": "max_timeout_seconds",
        "code_storage_bytes": "max_code_storage_bytes",
    }
    given = {settings.get(name, f"max_{name}"): value for name, value in names.items()}
    assert Limits.of(Settings(**given)) == Limits(**names)
    assert Limits.of(Settings()) == AWS_LIMITS


def test_request_may_be_as_large_as_on_aws() -> None:
    assert AWS_LIMITS.request_bytes == 70_167_211
