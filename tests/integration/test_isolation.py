"""Sandboxes on this host, as each kind of user it can offer; every scenario runs in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import missing
from workers.sandbox.isolation.cgroups import hierarchies

_ROOT = Path(__file__).resolve().parents[2]
_USER = 1234
#: of a scenario; long for the sake of emulated machines (tests/vm)
_ANSWER_S = 600
_CAP_SYS_ADMIN = 21
#: A container's root may be root in name only; then this user is tried as it is.
_IS_ROOT = os.geteuid() == 0 and bool(
    int(Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0], 16) >> _CAP_SYS_ADMIN & 1
)
_BECOME_USER = ["setpriv", "--reuid", str(_USER), "--regid", str(_USER), "--clear-groups", "--"]
#: As in a container without privileges of its own.
_NAME_ONLY = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--")
_NO_USER_NAMESPACES = [sys.executable, "-m", "tests.support.without_user_namespaces"]


@dataclass(frozen=True)
class Identity:
    """Who runs the worker. prefix: the command that becomes it. level: what it must get here."""

    name: str
    prefix: tuple[str, ...]
    other_user: bool
    level: str
    #: a word of each sentence that must be in `missing`, in order
    missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


def _identities() -> list[Identity]:
    """Root can play all of them; an ordinary user only plays itself, at whatever level it has."""
    if not _IS_ROOT:
        return [Identity("self", (), False, "")]
    refused = tuple(_NO_USER_NAMESPACES)
    no_limits = ("No memory limit", "No cpu limit", "No pids limit")
    return [
        Identity("root", (), False, "full"),
        Identity("user", tuple(_BECOME_USER), True, "reduced", no_limits),
        Identity("delegated-user", ("delegated", *_BECOME_USER), True, "full"),
        Identity("root-in-name-only", _NAME_ONLY, False, "reduced", ("under root's user id",)),
        Identity("root-refused-namespaces", refused, False, "reduced", ("with a user namespace", "no user namespace")),
        Identity(
            "user-refused-namespaces",
            (*refused, *_BECOME_USER),
            True,
            "process",
            ("with a user namespace", "plain processes", *no_limits),
        ),
    ]


#: each user at its best level, and one of them with plain processes
_RUNS = [*((identity, "auto") for identity in _identities()), (_identities()[0], "process")]
#: by a function that was started for itself, and by one out of a stem cell
_ATTACKS = ("attacks", "attacks_from_a_cell")
_ISOLATED = [identity for identity in _identities() if identity.level != "process"]


@pytest.fixture(scope="module")
def open_tree() -> Iterator[tuple[str, Path]]:
    """An interpreter and a copy of our modules that an ordinary user can read."""
    interpreter = next((p for v in (11, 12, 13, 14) if (p := shutil.which(f"python3.{v}", path="/usr/bin"))), None)
    if interpreter is None:
        missing("no Python >= 3.11 below /usr, the only one that another user can be sure to reach")
    assert interpreter is not None
    import pyseccomp

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        tree = Path(folder)
        tree.chmod(0o755)
        for package in ("hearth", "workers", "tests/support"):
            shutil.copytree(_ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(pyseccomp.__file__, tree)
        yield interpreter, tree


@pytest.fixture(scope="module", autouse=True)
def scratch() -> Iterator[Path]:
    """Where scenarios, also killed ones, put their files: open to every user, gone afterwards."""
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o1777)
        yield Path(folder)


@pytest.fixture
def delegated() -> Iterator[list[Path]]:
    """Groups of the controllers we need that belong to the ordinary user, below our own."""
    made = []
    for found in hierarchies(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text()):
        if found.version == 1 and found.controllers & {"memory", "cpu", "pids"}:
            group = found.group / f"hearth-test-{os.getpid()}"
            group.mkdir()
            os.chown(group, _USER, _USER)
            made.append(group)
    if not made:
        pytest.skip("the limits' controllers are not on cgroup v1 here")
    yield made
    for group in made:
        for below in [*group.glob("hearth/*"), *group.glob("hearth"), group]:
            if below.is_dir():
                below.rmdir()


def _command(
    identity: Identity, open_tree: Callable[[], tuple[str, Path]], scenario: str, want: str
) -> tuple[list[str], Path]:
    interpreter, tree = open_tree() if identity.other_user else (sys.executable, _ROOT)
    prefix = [word for word in identity.prefix if word != "delegated"]
    return [*prefix, interpreter, "-m", "tests.support.sandbox_scenarios", scenario, want], tree


def _start(identity: Identity, request: pytest.FixtureRequest, scenario: str, want: str = "auto") -> Any:
    groups = request.getfixturevalue("delegated") if "delegated" in identity.prefix else []
    command, tree = _command(identity, lambda: request.getfixturevalue("open_tree"), scenario, want)

    def join() -> None:
        for group in groups:
            (group / "tasks").write_text("0")

    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/nonexistent",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(request.getfixturevalue("scratch")),
    }
    return subprocess.Popen(
        command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=join
    )


@pytest.fixture(scope="module")
def attacked() -> dict[tuple[Identity, str], dict[str, Any]]:
    """What the attacks have found: they wait for what doesn't answer, so each is made once."""
    return {}


def _attacked(
    identity: Identity, scenario: str, request: pytest.FixtureRequest, attacked: dict[tuple[Identity, str], Any]
) -> dict[str, Any]:
    if (identity, scenario) not in attacked:
        attacked[identity, scenario] = _answer(identity, request, scenario)
    found: dict[str, Any] = attacked[identity, scenario]
    return found


def _answer(identity: Identity, request: pytest.FixtureRequest, scenario: str, want: str = "auto") -> dict[str, Any]:
    with _start(identity, request, scenario, want) as process:
        output, errors = process.communicate(timeout=_ANSWER_S)
    assert process.returncode == 0, errors
    answer = json.loads(output)
    answer["warned"] = "not fully isolated" in errors
    assert answer.get("left after close", []) == []
    if scenario in (*_ATTACKS, "staging") and answer["level"] == "process":
        missing("this user gets no isolation here: " + " ".join(answer["missing"]))
    return answer


@pytest.mark.parametrize("identity", _identities(), ids=str)
def test_each_user_gets_the_best_level_and_is_told_what_is_missing(
    identity: Identity, request: pytest.FixtureRequest
) -> None:
    answer = _answer(identity, request, "level")
    assert answer["level"] == identity.level or not identity.level
    assert answer["warned"] == (answer["level"] != "full") == bool(answer["missing"])
    for word, sentence in zip(identity.missing, answer["missing"], strict=False):
        assert word in sentence
        assert sentence.endswith(".")
    assert len(answer["missing"]) >= len(identity.missing)


@pytest.mark.parametrize("identity", [i for i in _identities() if i.level not in ("full", "")], ids=str)
def test_full_isolation_asked_by_name_is_refused_with_the_reasons(
    identity: Identity, request: pytest.FixtureRequest
) -> None:
    answer = _answer(identity, request, "level", want="full")
    assert answer["level"] is None
    assert all(word in answer["message"] for word in ("isolation level full is not available here", *identity.missing))


@pytest.mark.parametrize("identity", _identities(), ids=str)
def test_doctor_names_what_is_missing_and_the_command_that_mends_it(
    identity: Identity, request: pytest.FixtureRequest
) -> None:
    answer = _answer(identity, request, "findings")
    findings = answer["findings"]
    statuses = {"full": "ok", "reduced": "degraded", "process": "degraded"}
    assert findings["isolation level"]["status"] == statuses[answer["level"]]
    assert answer["level when full is demanded"] == ("ok" if answer["level"] == "full" else "missing")
    if "refused" in identity.name:
        assert findings["user namespaces"]["remedy"] == "sudo sysctl -w user.max_user_namespaces=28633"
    if "No memory limit" in identity.missing:
        assert findings["memory limit"]["remedy"].startswith("sudo install -d -o ")
    assert all(finding["meaning"] and finding["detail"] for finding in findings.values())
    assert answer["bystander undisturbed"]


@pytest.mark.parametrize("scenario", _ATTACKS)
@pytest.mark.parametrize("identity", _ISOLATED, ids=str)
def test_function_that_tries_to_get_out_is_refused_everything(
    identity: Identity, scenario: str, request: pytest.FixtureRequest, attacked: dict[tuple[Identity, str], Any]
) -> None:
    answer = _attacked(identity, scenario, request, attacked)
    assert answer["from a cell"] == (scenario == "attacks_from_a_cell")
    got = {what: result for what, result in answer["tried"].items() if not result.startswith("refused")}
    assert got == {}
    assert answer["capabilities"] == 0
    assert (answer["no_new_privs"], answer["seccomp"]) == ("1", "2")
    pid_1 = answer["pid 1"]
    assert int(pid_1["CapEff"], 16) == int(pid_1["CapPrm"], 16) == 0
    assert (pid_1["NoNewPrivs"], pid_1["Seccomp"]) == ("1", "2")
    assert 0 not in answer["groups"]
    assert answer["uid"] != 0
    assert answer["descriptors"] == [0, 1, 2]
    assert not answer["environment_visible_to_host"]


@pytest.mark.parametrize("scenario", _ATTACKS)
@pytest.mark.parametrize("identity", _ISOLATED, ids=str)
def test_function_reaches_its_runtime_api_the_platform_and_its_tmp(
    identity: Identity, scenario: str, request: pytest.FixtureRequest, attacked: dict[tuple[Identity, str], Any]
) -> None:
    answer = _attacked(identity, scenario, request, attacked)
    assert answer["runtime api"] == answer["platform"] == "echo hello\n"
    assert answer["write to /tmp"] == "written"
    assert (answer["hostname"], answer["directory"]) == ("sandbox", "/var/task")
    assert answer["pipe of /bin/sh"] == 3 or not Path("/bin/bash").exists()
    own = {"LC_CTYPE", "PWD"}  # made by the interpreter and by bwrap
    expected = {"AWS_ENDPOINT_URL", "AWS_LAMBDA_RUNTIME_API", "PATH", "SECRET_OF_CALLER", "TARGET"}
    assert set(answer["environment"]) - own == expected


@pytest.mark.parametrize(("identity", "want"), _RUNS, ids=str)
def test_each_way_of_ending_is_reported_as_it_was(
    identity: Identity, want: str, request: pytest.FixtureRequest
) -> None:
    answer = _answer(identity, request, "endings", want)
    assert answer["returned"] == [0, None, False]
    assert answer["status 3"] == [3, None, False]
    assert answer["signal"] == [None, signal.SIGSEGV, False]
    assert answer["daemon left behind"] == [0, None, False]
    assert answer["no such command"] == [True, True]
    assert answer["same id twice"] == "sandbox twice exists"
    assert answer["processes left"] == []


@pytest.mark.parametrize("identity", [i for i in _identities() if not i.missing and i.level], ids=str)
def test_sandbox_that_runs_into_a_limit_is_held_by_it(identity: Identity, request: pytest.FixtureRequest) -> None:
    answer = _answer(identity, request, "limits")
    number, oom, peak_mb = answer["hog"]
    assert (number, oom) == (signal.SIGKILL, True)
    assert 60 <= peak_mb <= 64
    # A child that is killed leaves the runtime alive: not the runtime's end, so not its oom.
    assert answer["child hog"] == [0, False, "-9"]
    assert 20 <= answer["bomb"] < 30
    assert answer["fill"] == ["8", "28"]  # MB written, ENOSPC
    # The scenario itself waits until the quota has held a busy sandbox back.
    assert answer["throttled after the quota was lifted"] == 0


@pytest.mark.parametrize("identity", [i for i in _identities() if i.name == "root"], ids=str)
def test_tmp_on_disk_ends_at_its_size_and_is_nobodys_memory(identity: Identity, request: pytest.FixtureRequest) -> None:
    answer = _answer(identity, request, "disk")
    if answer["no_disk"]:
        missing(f"no disks here: {answer['no_disk']}")
    written_mb, code, status, oom = answer["filled"]
    assert 200 <= int(written_mb) < 216
    assert (code, status, oom) == ("28", 0, False)  # ENOSPC
    assert answer["next"] == "[] 0o41777"
    why, still_works = answer["where there is no room"]
    assert why
    assert still_works == "[] 0o41777"


@pytest.mark.parametrize(("identity", "want"), _RUNS, ids=str)
def test_fifty_sandboxes_leave_nothing_behind(identity: Identity, want: str, request: pytest.FixtureRequest) -> None:
    answer = _answer(identity, request, "leaks", want)
    print(f"\n{identity} {answer['level']}: spawn p50 {answer['spawn_ms_p50']:.1f} ms")
    before, after = answer["before"], answer["after"]
    assert before.keys() == after.keys()
    assert {name: left for name, left in after.items() if left > before[name]} == {}
    assert answer["folders left"] == []


@pytest.mark.parametrize(("identity", "want"), _RUNS, ids=str)
def test_cancelled_callers_and_a_dead_spawner_leave_a_working_supervisor(
    identity: Identity, want: str, request: pytest.FixtureRequest
) -> None:
    answer = _answer(identity, request, "cancellation", want)
    assert answer["exit of an orphan"] == signal.SIGKILL
    assert answer["after a new spawner"] == [0, "again"]
    assert answer["sandboxes left"] == []
    assert answer["stopped"]


@pytest.mark.parametrize("identity", _ISOLATED, ids=str)
def test_code_below_a_private_folder_is_found_and_its_replacement_too(
    identity: Identity, request: pytest.FixtureRequest
) -> None:
    answer = _answer(identity, request, "staging")
    assert answer["answers"] == ["found", "replaced"]
    # Root's sandboxes run under other users: closed code is named, not shown as an empty folder.
    assert answer["unreadable"] == "replaced" or "must be readable by all users" in answer["unreadable"]
    assert not answer["mounts on the host"]


@pytest.mark.parametrize(("identity", "want"), _RUNS, ids=str)
def test_worker_killed_outright_takes_its_sandboxes_along(
    identity: Identity, want: str, request: pytest.FixtureRequest, scratch: Path
) -> None:
    with _start(identity, request, "abandoned", want) as process:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        pids = started["pids"]
        assert len(pids) > 6
        process.kill()
    give_up_at = time.monotonic() + 60
    while alive := [pid for pid in pids if _runs(pid)]:
        assert time.monotonic() < give_up_at, f"still there: {alive}"
        time.sleep(0.02)
    while list(_sandbox_folders(scratch)):
        assert time.monotonic() < give_up_at
        time.sleep(0.02)
    # What its cgroups leave, the next worker of the same user removes. Others may be killed meanwhile: not looked at.
    left = [group for group in _worker_groups() if not Path("/proc", group.name.split("-")[0]).exists()]
    _answer(identity, request, "level", want)
    assert not [group for group in left if group.exists()]


def test_child_is_born_in_its_v2_group() -> None:
    found = hierarchies(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
    unified = next((h.group for h in found if h.version == 2 and os.access(h.group, os.W_OK)), None)
    if unified is None:
        pytest.skip("no cgroup v2 tree that this user may write to")
    group = unified / f"hearth-test-{os.getpid()}"
    group.mkdir()
    program = (
        "import os, sys; from workers.sandbox.isolation.syscalls import fork_into_cgroup as fork\n"
        "if fork(os.open(sys.argv[1], os.O_RDONLY)) == 0: os.execv('/bin/cat', ['cat', '/proc/self/cgroup'])\n"
        "sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))"
    )
    try:
        command = [sys.executable, "-c", program, str(group)]
        output = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    finally:
        group.rmdir()
    assert next(line for line in output.splitlines() if line.startswith("0::")).endswith("/" + group.name)


def _sandbox_folders(scratch: Path) -> Iterator[Path]:
    return scratch.glob("hearth-sandbox-*")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _worker_groups() -> list[Path]:
    found = hierarchies(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
    return [group for h in found for group in h.group.glob("hearth/*-*")]
