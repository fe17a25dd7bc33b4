"""docker-compose.yml and what belongs to it agree with the program: commands, settings, secrets, privileges, metrics.

The files are read by Compose itself (`docker compose`, or Debian's docker-compose); no container is started here:
`tests/compose/run` does that.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from typer.testing import CliRunner

from hearth.cli.main import app
from hearth.embedded.stackfile import free_port
from hearth.settings import PREFIX, Settings
from tests.compose.steps.observing import expressions
from tests.conftest import missing
from tests.support.compose import compose_command
from tests.support.places import ROOT
from tests.support.servers import PrivateServers
from tests.support.stack import PlatformStack
from workers.sandbox.isolation import seccomp

COMPOSE_FILE = ROOT / "docker-compose.yml"
DASHBOARDS = ROOT / "docker" / "grafana" / "dashboards"
COMPOSED_DEVICES = ("/dev/net/tun",)
EXAMPLE = ROOT / ".env.example"
#: services that are Hearth's
OURS = ("gateway", "workers", "pollers", "orchestrators")
#: images of whoever makes them, which start as their own users or become them
THEIRS = ("rabbitmq", "state", "coordination", "balancer", "locust", "prometheus", "grafana")
SECRETS = ("rabbitmq_password", "valkey_password", "platform_secret", "secret_access_key", "grafana_password")


def config(env_file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    compose = compose_command()
    if compose is None:
        missing("Compose is not installed: sudo apt-get install docker-compose")
    options = ["--env-file", str(env_file), "--file", str(COMPOSE_FILE), "--profile", "load", "--profile", "observe"]
    command = [*compose, *options, "config", *arguments]
    kept = ("PATH", "HOME", "LANG")  # a variable of the caller's would win over the file
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The services as Compose understands them, every variable in its place."""
    env_file = tmp_path_factory.mktemp("compose") / ".env"
    env_file.write_text(EXAMPLE.read_text())
    answer = config(env_file)
    assert answer.returncode == 0, answer.stderr
    assert "is not set" not in answer.stderr, answer.stderr
    return yaml.safe_load(answer.stdout)["services"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of secrets that docker/secrets.sh makes."""
    folder = tmp_path_factory.mktemp("project")
    subprocess.run([ROOT / "docker" / "secrets.sh"], cwd=folder, check=True, timeout=30)
    return folder / "secrets"


def test_every_secret_is_made_differently_and_for_this_user_alone(made: Path) -> None:
    assert {file.name for file in made.iterdir()} == set(SECRETS)
    assert len({file.read_text() for file in made.iterdir()}) == len(SECRETS)
    assert all(re.fullmatch(r"[0-9a-f]{48}", file.read_text()) for file in made.iterdir())
    assert made.stat().st_mode & 0o777 == 0o700


def test_secrets_that_are_there_stay(made: Path) -> None:
    before = {file.name: file.read_text() for file in made.iterdir()}
    subprocess.run([ROOT / "docker" / "secrets.sh"], cwd=made.parent, check=True, timeout=30)
    assert {file.name: file.read_text() for file in made.iterdir()} == before


def test_secrets_come_from_files_and_each_service_gets_what_it_names(services: dict[str, Any]) -> None:
    text = COMPOSE_FILE.read_text()
    assert set(re.findall(r"^  (\w+): \{file: \./secrets/\1\}$", text, flags=re.MULTILINE)) == set(SECRETS)
    for name, service in services.items():
        given = {one["source"] if isinstance(one, dict) else one for one in service.get("secrets") or []}
        told = str(service.get("environment")) + str(service.get("command")) + str(service["healthcheck"])
        assert set(re.findall(r"/run/secrets/(\w+)", told)) <= given, name
        assert given <= set(SECRETS)
        if name in OURS:
            assert not re.search(r"://\w*:\w+@", told), name


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
    name: str, services: dict[str, Any], made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in services[name]["environment"].items():
        assert variable.removeprefix(PREFIX).lower() in Settings.model_fields, variable
        # Compose writes a dollar sign of its own as two, in what it prints
        monkeypatch.setenv(variable, value.replace("$$", "$").replace("/run/secrets", str(made)))
    settings = Settings.load()
    password = (made / "rabbitmq_password").read_text()
    assert settings.broker_url == f"amqp://hearth:{password}@rabbitmq:5672/hearth"
    assert settings.secret == (made / "platform_secret").read_text()
    assert settings.development_key is (name != "gateway")  # only a gateway takes keys


def test_settings_named_in_the_example_reach_a_service(services: dict[str, Any]) -> None:
    named = set(re.findall(r"^(HEARTH_[A-Z_]+)=", EXAMPLE.read_text(), flags=re.MULTILINE))
    assert named <= {name for one in OURS for name in services[one]["environment"]}


def test_services_wait_for_and_reach_each_other_by_names_that_exist(services: dict[str, Any]) -> None:
    servers = {"HEARTH_BROKER_URL": "rabbitmq", "HEARTH_STATE_URL": "state", "HEARTH_COORDINATION_URL": "coordination"}
    for one in OURS:
        urls = {name: re.sub(r"\$+\{.*?\}", "secret", services[one]["environment"][name]) for name in servers}
        reached = {name: urlsplit(url).hostname for name, url in urls.items()}
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
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name
    for image in re.findall(r"^FROM (\S+:\S+)", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE):
        assert re.search(r":\d+\.\d+\.\d+-", image), image


def test_state_answers_after_the_disk_and_forgets_nothing(services: dict[str, Any]) -> None:
    written = " ".join(services["state"]["command"])
    for line in ("appendonly yes", "appendfsync always", "maxmemory-policy noeviction"):
        assert line in written
    assert "/data" in str(services["state"]["volumes"])
    assert "appendonly no" in " ".join(services["coordination"]["command"])
    assert not services["coordination"].get("volumes")


@pytest.mark.parametrize("name", OURS)
def test_our_services_can_be_scaled(name: str, services: dict[str, Any]) -> None:
    for only_one in ("container_name", "hostname", "ports"):
        assert not services[name].get(only_one), only_one


def test_one_address_leads_to_every_gateway() -> None:
    text = (ROOT / "docker" / "haproxy.cfg").read_text()
    port = Settings.model_fields["port"].default
    assert re.search(rf"^    bind :{port}$", text, flags=re.MULTILINE)
    assert re.search(rf"^    server-template gateway \d+ gateway:{port} ", text, flags=re.MULTILINE)
    # an invocation must not run twice: only what reached no gateway is sent to another
    assert re.findall(r"^    retry-on (.+)$", text, flags=re.MULTILINE) == ["conn-failure"]


def test_no_service_is_privileged_and_each_privilege_tells_its_reason(services: dict[str, Any]) -> None:
    text = COMPOSE_FILE.read_text()
    for name, service in services.items():
        assert not service.get("privileged"), name
        if name == "workers":
            for privilege in [*service["cap_add"], *service["security_opt"], *COMPOSED_DEVICES]:
                written = re.sub("[=:]", "[=:]", re.escape(privilege))  # Compose may print the one for the other
                assert re.search(rf"^ +- {written}  # \w+", text, flags=re.MULTILINE), privilege
            assert "seccomp=unconfined" not in service["security_opt"]
        else:
            assert not service.get("cap_add"), name
            assert "unconfined" not in str(service.get("security_opt")), name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
    assert set(services) == {*OURS, *THEIRS}


def test_workers_filter_refuses_what_sandboxes_are_refused_but_for_what_makes_sandboxes() -> None:
    profile = json.loads((ROOT / "docker" / "seccomp-workers.json").read_text())
    (refused,) = profile["syscalls"]
    assert (profile["defaultAction"], refused["action"]) == ("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO")
    makes_sandboxes = {
        *("unshare", "setns", "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree"),
        *("fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "open_tree_attr", "sethostname", "pidfd_getfd"),
    }
    assert set(refused["names"]) == set(seccomp.REFUSED) - makes_sandboxes


def test_dashboards_ask_for_what_there_is(stack: PlatformStack) -> None:
    stack.client("sts").get_caller_identity()  # requests are told of when there was one
    with urllib.request.urlopen(f"{stack.endpoint}/metrics", timeout=10) as answer:
        told = set(re.findall(r"^# TYPE (\S+) ", answer.read().decode(), flags=re.MULTILINE))
    asked = {name for _, query in expressions(DASHBOARDS) for name in re.findall(r"hearth_\w+", query)}
    assert len(asked) > 10
    assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in asked} <= told


def test_dockerfile_builds_what_compose_names_from_what_is_there(services: dict[str, Any]) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    targets = set(re.findall(r" AS (\w+)$", dockerfile, flags=re.MULTILINE))
    assert {service["build"]["target"] for service in services.values() if "build" in service} <= targets
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = set(re.findall(r"^COPY ((?:[\w./]+ )+)", dockerfile, flags=re.MULTILINE))
    for source in " ".join(copied).split():
        assert (ROOT / source).exists()
        assert any(source == one or source.startswith(f"{one}/") for one in let_in), source


def alive(service: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hearth.cli", "alive", service]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=os.environ | environment, check=False
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


#: what a command of the client ends with where no daemon answers
NOBODY_ANSWERS = "#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n"
DAEMON = ("dockerd", "containerd", "runc", "docker-init")


@pytest.fixture
def host() -> Iterator[Path]:
    """A folder of all programs that a host has, at first without any of an engine's; every user may look into it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        folder = Path(made)
        folder.chmod(0o755)
        for program in ("sh", "unshare", "mount"):
            found = shutil.which(program)
            assert found is not None, "part of every Debian"
            (folder / program).symlink_to(found)
        yield folder


def installed(host: Path, *programs: str, text: str = NOBODY_ANSWERS) -> None:
    for program in programs:
        (host / program).write_text(text)
        (host / program).chmod(0o755)


def compose_run(host: Path, *prefix: str) -> subprocess.CompletedProcess[str]:
    """`tests/compose/run` where there are no other programs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER")}
    environment = kept | {"PATH": str(host), "XDG_CACHE_HOME": str(host / "cache")}
    command = [*prefix, sys.executable, "-m", "tests.compose"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("programs", "says"),
    [
        ((), "Compose is not installed: apt-get install docker-compose"),
        (("docker-compose",), "the program `docker` is not installed: apt-get install docker.io"),
    ],
)
def test_the_script_fails_where_nothing_is_installed(programs: tuple[str, ...], says: str, host: Path) -> None:
    installed(host, *programs)
    done = compose_run(host)
    assert (done.returncode, done.stderr.splitlines()) == (1, [f"No engine: {says}"])
    assert not (host / "cache").exists()


def test_the_script_fails_for_a_user_who_can_start_no_engine(host: Path) -> None:
    installed(host, "docker-compose", "docker", *DAEMON)
    # a user who may read this clone wherever it is, and nothing else that root may
    user = (
        shutil.which("setpriv") or "setpriv",
        "--reuid=1234",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
        "--",
    )
    done = compose_run(host, *(user if os.geteuid() == 0 else ()))
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        ["No engine: no engine answers, and only root can start one"],
    )
    assert not (host / "cache").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="for others the test above says it all")
def test_the_script_fails_for_root_where_the_daemon_is_not_installed(host: Path) -> None:
    installed(host, "docker-compose", "docker", "containerd", "runc")
    done = compose_run(host)
    says = "No engine: no engine answers, and what one is made of is missing: apt-get install docker.io"
    assert (done.returncode, done.stderr.splitlines()) == (1, [says])


@pytest.mark.skipif(os.geteuid() != 0, reason="others start no daemon")
def test_the_script_fails_with_the_daemons_last_words_where_it_ends_at_once(host: Path) -> None:
    installed(host, "docker-compose", "docker", *DAEMON)
    installed(
        host, "dockerd", text="#!/bin/sh\necho failed to start daemon: Devices cgroup is not mounted >&2\nexit 1\n"
    )
    done = compose_run(host)
    assert done.returncode == 1
    first, *last = done.stderr.splitlines()
    log = host / "cache" / "hearth" / "compose" / "engine" / "dockerd.log"
    assert first == f"No engine: Docker's daemon does not start here. The end of {log}:"
    # a container's root may not even make the mount namespace that the daemon runs in
    assert last == log.read_text().splitlines()
    assert last[0].startswith(("failed to start daemon", "unshare: "))
