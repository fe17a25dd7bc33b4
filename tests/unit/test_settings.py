from __future__ import annotations

from pathlib import Path

import pytest

from hearth.settings import BadSettings, Settings
from hearth.written_settings import written


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("HEARTH_")]:
        monkeypatch.delenv(name)


def test_environment_overrides_file_overrides_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "hearth.toml"
    file.write_text('port = 1\nregion = "eu-west-1"\n')
    monkeypatch.setenv("HEARTH_SETTINGS_FILE", str(file))
    monkeypatch.setenv("HEARTH_PORT", "2")
    settings = Settings.load()
    assert (settings.port, settings.region, settings.bind) == (2, "eu-west-1", "127.0.0.1")


def test_everything_wrong_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTH_PROT", "1")
    monkeypatch.setenv("HEARTH_PORT", "many")
    monkeypatch.setenv("HEARTH_IDLE_SECONDS", "-1")
    with pytest.raises(BadSettings) as caught:
        Settings.load()
    for name in ("HEARTH_PROT", "HEARTH_PORT", "HEARTH_IDLE_SECONDS"):
        assert name in str(caught.value)


def test_child_process_gets_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.load(port=4600, development_key=False, aws_endpoints="s3=http://a,sqs=http://b")
    for name, value in settings.to_environ().items():
        monkeypatch.setenv(name, value)
    assert Settings.load().model_dump() == settings.model_dump()


@pytest.mark.parametrize("value", ["s3", "s3=", "s3=minio:9000", "s3=http://a,sqs"])
def test_endpoint_that_is_no_url_is_refused(value: str) -> None:
    with pytest.raises(BadSettings, match="neither a URL nor"):
        Settings.load(aws_endpoints=value)


def test_value_takes_parts_of_itself_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    monkeypatch.setenv("HEARTH_BROKER_URL", f"amqp://hearth:${{file:{tmp_path}/password}}@host/hearth")
    monkeypatch.setenv("HEARTH_ACCESS_KEYS", f"KEY:${{file:{tmp_path}/password}}:000000000000")
    settings = Settings.load()
    assert settings.broker_url == "amqp://hearth:s3cret@host/hearth"
    assert settings.access_keys == "KEY:s3cret:000000000000"


@pytest.mark.parametrize("content", [None, " \n"])
def test_file_without_a_value_is_named(content: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("HEARTH_SECRET", f"${{file:{file}}}")
    with pytest.raises(BadSettings) as caught:
        Settings.load()
    assert "HEARTH_SECRET" in str(caught.value)
    assert str(file) in str(caught.value)


def test_health_checks_read_what_the_services_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert written("port") is written("coordination_url") is None
    (tmp_path / "password").write_text("s3cret\n")
    file = tmp_path / "hearth.toml"
    url = f"redis://:${{file:{tmp_path}/password}}@host:6379/1"
    file.write_text(f'port = 1\nbind = "0.0.0.0"\ncoordination_url = "{url}"\n')
    monkeypatch.setenv("HEARTH_SETTINGS_FILE", str(file))
    monkeypatch.setenv("HEARTH_PORT", "2")
    monkeypatch.setenv("HEARTH_BIND", "")
    settings = Settings.load()
    for name in ("port", "bind", "coordination_url"):
        assert written(name) == str(getattr(settings, name))
