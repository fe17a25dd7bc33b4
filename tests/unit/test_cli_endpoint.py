from __future__ import annotations

from pathlib import Path

import botocore.session
import pytest

from hearth.cli.config import _hidden
from hearth.cli.endpoint import access, endpoint_of, exports, own_key
from hearth.embedded.stackfile import Running, StackFile
from hearth.settings import Settings

_RUNNING = Running(pid=1, endpoint="http://127.0.0.1:29999", broker_url="", state_url="", coordination_url="")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path


def test_running_platform_is_found_by_its_data_folder(data: Path) -> None:
    record = StackFile(data)
    record.acquire()
    record.running = _RUNNING
    record.save()
    assert access(Settings(data=data)).endpoint == "http://127.0.0.1:29999"
    assert access(Settings(data=data, port=4000)).endpoint == "http://127.0.0.1:4000"
    record.release()
    assert access(Settings(data=data)).endpoint == "http://127.0.0.1:4566"


def test_named_endpoint_wins_and_brings_its_own_key(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://elsewhere")
    assert access(Settings(data=data)).key == "test"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    found = access(Settings(data=data))
    assert (found.endpoint, found.key) == ("https://elsewhere", None)
    assert "AWS_ACCESS_KEY_ID" not in exports(found)


def test_exported_environment_leaves_hosts_as_they_are(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in exports(access(Settings(data=data))).items():
        monkeypatch.setenv(name, value)
    states = botocore.session.get_session().create_client("stepfunctions")
    assert states.meta.endpoint_url == "http://127.0.0.1:4566"
    assert states.meta.config.inject_host_prefix is False


def test_listener_on_all_addresses_is_reached_on_the_loopback() -> None:
    assert endpoint_of(Settings(bind="0.0.0.0", port=80)) == "http://127.0.0.1:80"
    assert endpoint_of(Settings(bind="::", port=80)) == "http://[::1]:80"


def test_development_key_is_not_used_beyond_the_loopback() -> None:
    assert own_key(Settings(bind="0.0.0.0")) == (None, None)
    assert own_key(Settings(bind="0.0.0.0", access_keys="AK:SK:123456789012,B:C:1")) == ("AK", "SK")


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("secret", "s", "***"),
        ("access_keys", "a:b:c", "***"),
        ("broker_url", "amqp://me:pw@host:5672/v", "amqp://me:***@host:5672/v"),
        ("state_url", "redis://:pw@host/0", "redis://:***@host/0"),
        ("port", 4566, 4566),
        ("secret", None, None),
    ],
)
def test_configuration_hides_secrets(name: str, value: object, shown: object) -> None:
    assert _hidden(name, value) == shown
