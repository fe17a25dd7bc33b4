"""From a SandboxSpec to bwrap's options, and to a plain command."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from workers.sandbox.isolation import command
from workers.sandbox.isolation.spec import Exit, Mount, SandboxSpec

_FULL = command.Mode(namespaces=True, user_namespace=True, own_uid=True, seccomp=True, tmp_size=True)


def a_spec(**changes: object) -> SandboxSpec:
    base = {
        "sandbox_id": "s1",
        "command": ("/var/lang/bin/python3.11", "-m", "awslambdaric", "app.handler"),
        "environment": {"PATH": "/var/lang/bin:/usr/bin", "SECRET": "s"},
        "code_dir": Path("/data/code/abc"),
        "mounts": (Mount(Path("/root/py"), "/var/lang"), Mount(Path("/data/layer"), "/opt")),
        "ephemeral_mb": 600,
    }
    return SandboxSpec(**{**base, **changes})  # type: ignore[arg-type]


def options(mode: command.Mode = _FULL, *, platform: bool = True, **changes: object) -> list[object]:
    spec = a_spec(**changes)
    inside = command.environment_inside(spec, platform=platform)
    given = command.bubblewrap_options(spec, mode, usr_links={"bin": "usr/bin"}, environment=inside)
    return [part for word in given for part in (word.words if isinstance(word, command.Memory) else (word,))]


def following(words: list[object], word: str) -> list[object]:
    return [after for before, after in pairwise(words) if before == word]


def test_root_and_dev_become_read_only_after_everything_is_mounted() -> None:
    words = options()
    assert following(words, "--remount-ro") == ["/dev", "/"]
    last_mount = max(i for i, word in enumerate(words) if word in ("--ro-bind", "--tmpfs", "--dir", "--symlink"))
    assert words.index("--remount-ro") > last_mount


def test_host_shows_only_usr_and_what_the_spec_names() -> None:
    binds = [word for word in following(options(), "--ro-bind")]
    sources = [Path("/data/code/abc"), Path("/root/py"), Path("/data/layer")]
    assert binds == ["/usr", *(command.Source(path) for path in sources)]


def test_tmp_has_the_size_of_ephemeral_storage() -> None:
    assert following(options(), "--size") == [str(600 << 20)]


def test_old_bubblewrap_gets_no_size() -> None:
    mode = command.Mode(namespaces=True, user_namespace=True, own_uid=True, seccomp=True, tmp_size=False)
    assert "--size" not in options(mode)


def test_caller_cannot_redirect_the_runtime_api() -> None:
    environment = command.environment_of(
        a_spec(environment={"AWS_LAMBDA_RUNTIME_API": "evil"}), runtime_api="127.0.0.1:9001", endpoint_url=None
    )
    assert environment == {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001"}


@pytest.mark.parametrize(
    ("given", "platform", "expected"),
    [
        ({}, True, "http://127.0.0.1:4566"),
        ({"AWS_ENDPOINT_URL": "http://elsewhere"}, True, "http://elsewhere"),
        ({}, False, None),
    ],
)
def test_endpoint_url_is_the_platforms_unless_given(
    given: dict[str, str], platform: bool, expected: str | None
) -> None:
    words = options(environment=given, platform=platform)
    values = [value for word, _, value in zip(words, words[1:], words[2:], strict=False) if word == "--setenv"]
    pairs = dict(zip(following(words, "--setenv"), values, strict=True))
    assert pairs.get("AWS_ENDPOINT_URL") == expected


def test_without_user_namespaces_setpriv_drops_to_the_sandboxs_own_user() -> None:
    mode = command.Mode(namespaces=True, user_namespace=False, own_uid=True, seccomp=True, tmp_size=True)
    words = command.command_inside(a_spec(), mode)
    assert words[0] == "/usr/bin/setpriv"
    assert "{uid}" in words
    assert words[words.index("--") + 1] == "/var/lang/bin/python3.11"
    assert "--unshare-user" not in options(mode)


def test_uid_zero_without_a_user_namespace_gives_up_everything_and_finds_the_kernels_settings_read_only() -> None:
    mode = command.Mode(namespaces=True, user_namespace=False, own_uid=False, seccomp=True, tmp_size=True, as_root=True)
    words = command.command_inside(a_spec(), mode)
    assert words[:4] == ["/usr/bin/setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    assert following(options(mode), "--cap-add") == ["CAP_SETPCAP"]
    assert following(options(mode), "--remount-ro") == ["/dev", "/", "/proc"]


def test_plain_command_uses_the_hosts_paths() -> None:
    spec = a_spec(
        environment={"PATH": "/var/lang/bin:/usr/bin", "PYTHONPATH": "/opt/python:/var/task", "TEXT": "a/var/task"}
    )
    words, environment = command.plain_command(
        spec, runtime_api="127.0.0.1:5", endpoint_url="http://127.0.0.1:6", temporary_dir=Path("/tmp/x")
    )
    assert words[0] == "/root/py/bin/python3.11"
    assert environment["PATH"] == "/root/py/bin:/usr/bin"
    assert environment["PYTHONPATH"] == "/data/layer/python:/data/code/abc"
    assert environment["TEXT"] == "a/var/task"
    assert environment["TMPDIR"] == "/tmp/x"
    assert environment["AWS_LAMBDA_RUNTIME_API"] == "127.0.0.1:5"


def test_plain_command_prefers_the_longest_mount() -> None:
    mounts = (Mount(Path("/all"), "/opt"), Mount(Path("/one"), "/opt/lib"))
    words, _ = command.plain_command(
        a_spec(command=("/opt/lib/x", "/opt/y", "/options"), mounts=mounts),
        runtime_api="a",
        endpoint_url=None,
        temporary_dir=Path("/t"),
    )
    assert words == ["/one/x", "/all/y", "/options"]


@pytest.mark.parametrize(
    ("code", "oom_killed", "expected"),
    [
        (0, False, Exit(0, None, False)),
        (1, True, Exit(1, None, False)),  # a child was killed, the runtime ended by itself
        (128, False, Exit(128, None, False)),
        (137, False, Exit(None, 9, False)),
        (137, True, Exit(None, 9, True)),
        (139, True, Exit(None, 11, False)),
        (-9, True, Exit(None, 9, True)),
        (255, False, Exit(255, None, False)),
    ],
)
def test_exit_of_a_code(code: int, oom_killed: bool, expected: Exit) -> None:
    assert Exit.of(code, oom_killed=oom_killed) == expected
