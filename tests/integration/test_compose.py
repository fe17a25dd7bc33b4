"""docker-compose.yml and the Dockerfile agree with the program: commands, settings, secrets, privileges.

The files are read by Compose itself (`docker compose`, or Debian's docker-compose); no container is started.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from typer.testing import CliRunner

from hearth.cli.main import app
from hearth.embedded.stackfile import free_port
from hearth.settings import PREFIX, Settings
from tests.conftest import missing
from tests.support.compose import compose_command
from tests.support.places import ROOT
from tests.support.servers import PrivateServers
from tests.support.stack import PlatformStack

COMPOSE_FILE = ROOT / "docker-compose.yml"
EXAMPLE = ROOT / ".env.example"
#: services that are Hearth's
OURS = ("gateway", "workers", "pollers", "orchestrators")
SECRETS = ("RABBITMQ_PASSWORD", "VALKEY_PASSWORD", "PLATFORM_SECRET", "SECRET_ACCESS_KEY")


def config(env_file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    compose = compose_command()
    if compose is None:
        missing("Compose is not installed: sudo apt-get install docker-compose")
    command = [*compose, "--env-file", str(env_file), "--file", str(COMPOSE_FILE), "config", *arguments]
    kept = ("PATH", "HOME", "LANG")  # a variable of the caller's would win over the file
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


def filled_example() -> str:
    """.env.example with a value in place of each empty one, as its text tells to do."""
    return re.sub(r"^([A-Z_]+)=$", r"\1=0123456789abcdef", EXAMPLE.read_text(), flags=re.MULTILINE)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The services as Compose understands them, every variable in its place."""
    env_file = tmp_path_factory.mktemp("compose") / ".env"
    env_file.write_text(filled_example())
    answer = config(env_file)
    assert answer.returncode == 0, answer.stderr
    assert "is not set" not in answer.stderr, answer.stderr
    return yaml.safe_load(answer.stdout)["services"]


@pytest.mark.parametrize("secret", SECRETS)
def test_empty_secret_stops_compose_with_its_name(secret: str, tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text(filled_example().replace(f"{secret}=0123456789abcdef", f"{secret}="))
    answer = config(env_file, "--quiet")
    assert answer.returncode != 0
    assert f"{secret} is empty" in answer.stderr


def test_example_holds_no_secret() -> None:
    for secret in SECRETS:
        assert f"\n{secret}=\n" in EXAMPLE.read_text()


def test_command_in_the_example_fills_every_secret_differently(tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    command = re.sub(r"^# *", "", "\n".join(text.splitlines()[2:4]), flags=re.MULTILINE)
    assert command.startswith("while read")
    (tmp_path / ".env.example").write_text(text)
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True, timeout=30)
    made = dict(re.findall(r"^([A-Z_]+)=(.+)$", (tmp_path / ".env").read_text(), flags=re.MULTILINE))
    assert len({made[secret] for secret in SECRETS}) == len(SECRETS)
    assert made["PUBLISH_PORT"] == "4566"
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", OURS)
def test_commands_and_health_checks_are_commands_of_hearth(name: str, services: dict[str, Any]) -> None:
    command = list(services[name]["command"])
    if command[0] == "hearth":
        command = command[1:]
    check = services[name]["healthcheck"]["test"]
    assert check[:2] == ["CMD", "hearth"]
    for words in (command, check[2:]):
        answer = CliRunner().invoke(app, [*words, "--help"])
        assert answer.exit_code == 0, f"hearth {' '.join(words)}: {answer.output}"
    assert check[2:] == ["alive", command[1]], "the check is of another service"


@pytest.mark.parametrize("name", OURS)
def test_environment_is_made_of_real_settings(
    name: str, services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in services[name]["environment"].items():
        assert variable.removeprefix(PREFIX).lower() in Settings.model_fields, variable
        monkeypatch.setenv(variable, value)
    settings = Settings.load()
    assert settings.broker_url == "amqp://hearth:0123456789abcdef@rabbitmq:5672/hearth"
    assert settings.development_key is (name != "gateway")  # only a gateway takes keys


def test_settings_named_in_the_example_reach_a_service(services: dict[str, Any]) -> None:
    named = set(re.findall(r"^(HEARTH_[A-Z_]+)=", EXAMPLE.read_text(), flags=re.MULTILINE))
    assert named <= {name for one in OURS for name in services[one]["environment"]}


def test_services_wait_for_and_reach_each_other_by_names_that_exist(services: dict[str, Any]) -> None:
    servers = {"HEARTH_BROKER_URL": "rabbitmq", "HEARTH_STATE_URL": "state", "HEARTH_COORDINATION_URL": "coordination"}
    for one in OURS:
        reached = {name: urlsplit(services[one]["environment"][name]).hostname for name in servers}
        assert reached == servers
        waits = {name for name, on in services[one]["depends_on"].items() if on["condition"] == "service_healthy"}
        assert waits == set(servers.values()) <= services.keys()
    # functions' calls to the platform go to the gateway, where it listens for them
    gateway = urlsplit(services["workers"]["environment"]["HEARTH_GATEWAY_URL"])
    assert (gateway.hostname, gateway.port) == ("gateway", Settings.model_fields["port"].default)
    assert services["gateway"]["environment"]["HEARTH_BIND"] == "0.0.0.0"
    assert "HEARTH_PORT" not in services["gateway"]["environment"]


def test_every_service_is_checked_restarted_and_pinned(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["healthcheck"]["test"], name
        assert service["restart"] == "unless-stopped", name
        assert list(service["networks"]) == ["hearth"], name
        assert re.search(r":\d+\.\d+\.\d+$", service["image"]), name
    for image in re.findall(r"^FROM (\S+:\S+)", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE):
        assert re.search(r":\d+\.\d+\.\d+-", image), image


def test_state_answers_after_the_disk_and_forgets_nothing(services: dict[str, Any]) -> None:
    written = " ".join(services["state"]["command"])
    for line in ("appendonly yes", "appendfsync always", "maxmemory-policy noeviction"):
        assert line in written
    assert "/data" in str(services["state"]["volumes"])
    assert "appendonly no" in " ".join(services["coordination"]["command"])
    assert not services["coordination"].get("volumes")


def test_workers_can_be_scaled(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert "container_name" not in service, name
        assert name == "gateway" or not service.get("ports"), name
    assert not services["workers"].get("hostname")


def test_no_service_is_privileged_and_each_privilege_tells_its_reason(services: dict[str, Any]) -> None:
    text = COMPOSE_FILE.read_text()
    for name, service in services.items():
        assert not service.get("privileged"), name
        if name == "workers":
            for privilege in [*service["cap_add"], *service["security_opt"]]:
                assert re.search(rf"^ +- {privilege}  # \w+", text, flags=re.MULTILINE), privilege
        else:
            assert not service.get("cap_add"), name
            assert "unconfined" not in str(service.get("security_opt")), name
    for name in set(services) - {"rabbitmq"}:  # whose image starts as root and becomes its own user
        assert services[name]["cap_drop"] == ["ALL"], name


def test_dockerfile_builds_what_compose_names_from_what_is_there(services: dict[str, Any]) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    targets = set(re.findall(r" AS (\w+)$", dockerfile, flags=re.MULTILINE))
    assert {services[one]["build"]["target"] for one in OURS} <= targets
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set(re.findall(r"^COPY ((?:[\w./]+ )+)", dockerfile, flags=re.MULTILINE))
    for source in " ".join(copied).split():
        assert (ROOT / source).exists()
        assert source.partition("/")[0] in let_in


def alive(service: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hearth.cli", "alive", service]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=30, env=os.environ | environment, check=False
    )


@pytest.mark.parametrize("service", ["gateway", "fleet", "poller", "orchestrator"])
def test_health_check_tells_a_service_at_work_from_one_that_is_not(
    service: str, stack: PlatformStack, servers: PrivateServers
) -> None:
    here = servers.environ() | {"HEARTH_PORT": str(stack.port)}
    answer = alive(service, here)
    assert answer.returncode == 0, answer.stderr
    # another port and another database: where nobody is
    elsewhere = {
        "HEARTH_PORT": str(free_port()),
        "HEARTH_COORDINATION_URL": servers.coordination_url.removesuffix("/0") + "/1",
    }
    answer = alive(service, here | elsewhere)
    assert answer.returncode == 1
    assert service in answer.stderr
