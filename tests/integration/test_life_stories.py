"""Random lives of sandboxes: whatever happens in them, no process and no cgroup outlives one.

Runtime and extensions are small programs of their own, started without site-packages, so that a life is short. Lives
begin with a full start, or as a stem cell (which has no external extensions).
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hearth.errors import HearthError
from tests.support.lab import Lab, a_lab, installed_runtime, invocation, until
from workers.lifecycle import shutdown
from workers.lifecycle.cell_start import kind_for
from workers.lifecycle.init import spec_of
from workers.runtimes.runtime import CellRecipe
from workers.sandbox import sandbox as sandboxes
from workers.sandbox.sandbox import Sandbox
from workers.sandbox.state import SandboxState
from workers.sandbox.stem_cells import StemCells

STORIES_AT_ONCE = 10
FULL_BATCHES, CELL_BATCHES = 50, 20

_CLIENT = r"""
import json, os, signal, socket, sys, time
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
link = socket.create_connection((host, int(port)))
stream = link.makefile("rb")
def call(method, path, body=b"", **headers):
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
    lines += [name.replace("_", "-") + ": " + value for name, value in headers.items()]
    link.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    stream.readline()
    found = {}
    while (line := stream.readline().strip()):
        name, _, value = line.decode().partition(": ")
        found[name.lower()] = value
    return found, stream.read(int(found.get("content-length", 0)))
def leave_children(how):
    if how == "child":
        if os.fork() == 0: time.sleep(60)
    elif how == "daemon":
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(60)
            os._exit(0)
        os.wait()
"""
_RUNTIME = (
    _CLIENT
    + r"""
if os.environ.get("INIT") == "exit": os._exit(5)
if os.environ.get("INIT") == "hang": time.sleep(60)
leave_children(os.environ.get("INIT"))
while True:
    headers, body = call("GET", "/2018-06-01/runtime/invocation/next")
    do = json.loads(body)
    leave_children(do)
    if do == "exit": os._exit(1)
    if do == "kill": os.kill(os.getpid(), 9)
    if do == "hang": time.sleep(60)
    where = "error" if do == "error" else "response"
    call("POST", "/2018-06-01/runtime/invocation/" + headers["lambda-runtime-aws-request-id"] + "/" + where, b"{}")
    if do == "die after": os._exit(2)
"""
)
#: boots, and becomes the runtime once it is told its environment
_CELL = r"""
import os, socket
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
with socket.create_connection((host, int(port))) as link:
    link.sendall(b"GET /hearth/cell HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = b"".join(iter(lambda: link.recv(65536), b""))
os.environ.update(item.decode().split("=", 1) for item in answer.partition(b"\r\n\r\n")[2].split(b"\0") if item)
exec(open("/var/task/app.py").read())
"""
_EXTENSION = (
    "#!{python} -IS\nKIND = {kind!r}\n"
    + _CLIENT.replace("{", "{{").replace("}", "}}")
    + r"""
if KIND == "stillborn": sys.exit(3)
name = os.path.basename(sys.argv[0])
headers, _ = call("POST", "/2020-01-01/extension/register", b'{{"events": ["INVOKE", "SHUTDOWN"]}}',
    Lambda_Extension_Name=name)
me = headers["lambda-extension-identifier"]
if KIND == "parent": leave_children("daemon")
if KIND == "stubborn": signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    event = json.loads(call("GET", "/2020-01-01/extension/event/next", Lambda_Extension_Identifier=me)[1])
    if event["eventType"] == "SHUTDOWN" and KIND != "stubborn": sys.exit(0)
    if event["eventType"] == "INVOKE" and KIND == "mortal": os._exit(1)
"""
)


class Story(NamedTuple):
    extensions: list[str]
    init: str
    #: what each invocation does; `idle`: long enough to be frozen; `cancel`: its caller goes in the middle
    chapters: list[str]
    end: str


_FULL_EXTENSIONS = st.lists(st.sampled_from(["good", "parent", "mortal", "stubborn", "stillborn"]), max_size=2)


def stories(extensions: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[Story]]:
    story = st.builds(
        Story,
        extensions,
        st.sampled_from(["", "", "", "", "child", "daemon", "exit", "hang"]),
        st.lists(
            st.sampled_from(
                ["ok", "ok", "error", "child", "daemon", "exit", "kill", "hang", "die after", "idle", "cancel"]
            ),
            max_size=3,
        ),
        st.sampled_from(["spindown", "spindown", "failure", "during init", "twice"]),
    )
    return st.lists(story, min_size=STORIES_AT_ONCE, max_size=STORIES_AT_ONCE)


class Reached(NamedTuple):
    """How far an Init came, and in which kind of life."""

    state: SandboxState
    extended: bool
    from_cell: bool


class Witness:
    """Remembers every process that was seen in a sandbox's cgroups."""

    def __init__(self, lab: Lab) -> None:
        self._parents = [parent for _, parent in lab.supervisor._tree._parents.values()]
        self.seen: dict[int, str] = {}
        #: the sandbox's processes are in groups of this name, or of the cell's that it was
        self.names: set[str] = set()

    def look(self, sandbox: Sandbox) -> None:
        self.names |= {sandbox.id} if sandbox.process is None else {sandbox.process.sandbox_id}
        for group in self._groups():
            try:
                pids = (group / "cgroup.procs").read_text().split()
            except OSError:
                continue
            for pid in map(int, pids):
                if born := _born(pid):
                    self.seen[pid] = born

    def left(self) -> list[str]:
        groups = [str(group) for group in self._groups() if group.exists()]
        return groups + [f"process {pid}" for pid, born in self.seen.items() if _born(pid) == born]

    @property
    def saw_a_cell(self) -> bool:
        return any(name.startswith("cell-") for name in self.names)

    def _groups(self) -> list[Path]:
        return [parent / name for parent in self._parents for name in self.names]


def _born(pid: int) -> str:
    """The time of its start, which tells it from another one of the same number; "" for none or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


@pytest.fixture(scope="module")
def stage(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.Runner, Lab]]:
    """One loop and one lab for all stories."""
    python = installed_runtime(data_dir)
    command = (python.launch[0], "-I", "-S")
    recipe = CellRecipe((*command, "-c", _CELL), at_start=())
    runtime = dataclasses.replace(python, launch=(*command, "/var/task/app.py"), cell=recipe)
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        # Lives are short: what hangs is ended sooner than it would be.
        patch.setattr(shutdown, "WINDOW_S", 0.3)
        patch.setattr(shutdown, "_RUNTIME_S", 0.05)
        patch.setattr(sandboxes, "FREEZE_AFTER_S", 0.01)
        runner = stack.enter_context(asyncio.Runner())
        manager = a_lab(tmp_path_factory.mktemp("stories"), runtime)
        lab = runner.run(manager.__aenter__())
        yield runner, lab
        runner.run(manager.__aexit__(None, None, None))


async def live(lab: Lab, story: Story, reached: Counter[Reached]) -> list[str]:
    """Live it; what is left afterwards. reached: counts how far Init came."""
    python = lab.runtime.launch[0]
    layers = {f"e{at}": _EXTENSION.format(python=python, kind=kind) for at, kind in enumerate(story.extensions)}
    lab.layers_dir = None
    if layers:
        lab.layer(**layers)
    sandbox = lab.sandbox(_RUNTIME, init_s=0.5, timeout_s=0.3, environment={"INIT": story.init} if story.init else {})
    lab.made.remove(sandbox)  # this story ends it
    witness = Witness(lab)
    try:
        starting = asyncio.create_task(sandbox.initialize())
        await asyncio.sleep(0.02 if lab.services.cells is None else 0.002)
        witness.look(sandbox)
        if story.end == "during init":
            await sandbox.shutdown("failure")
        await starting
        witness.look(sandbox)
        reached[Reached(sandbox.state, bool(layers), witness.saw_a_cell)] += 1
        for chapter in story.chapters:
            if sandbox.state is SandboxState.STOPPED:
                break
            await _chapter(sandbox, chapter, witness)
    except HearthError:
        assert sandbox.state is SandboxState.STOPPED
    endings = [sandbox.shutdown("failure" if story.end == "failure" else "spindown")]
    if story.end == "twice":
        endings.append(sandbox.shutdown("failure"))
    await asyncio.gather(*endings)
    assert (sandbox.state, sandbox.process) == (SandboxState.STOPPED, None)
    return witness.left()


async def _chapter(sandbox: Sandbox, chapter: str, witness: Witness) -> None:
    if chapter == "idle":
        await asyncio.sleep(0.05)
        return
    running: asyncio.Task[Any] = asyncio.create_task(
        sandbox.invoke(invocation("hang" if chapter == "cancel" else chapter))
    )
    await asyncio.sleep(0.01)
    witness.look(sandbox)
    if chapter == "cancel":
        running.cancel()
        await asyncio.wait({running})
    else:
        await running
    await sandbox.settled()
    witness.look(sandbox)


def _tell(stage: tuple[asyncio.Runner, Lab], told: st.SearchStrategy[list[Story]], batches: int) -> Counter[Reached]:
    """Live that many batches; nothing is left of any of them."""
    runner, lab = stage
    reached: Counter[Reached] = Counter()

    @settings(max_examples=batches, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(told)
    def lives(stories: list[Story]) -> None:
        async def all_at_once() -> list[list[str]]:
            async with asyncio.timeout(60):
                if lab.services.cells is not None:
                    await until(lambda: lab.services.cells.count() >= STORIES_AT_ONCE)
                return list(await asyncio.gather(*(live(lab, story, reached) for story in stories)))

        assert runner.run(all_at_once()) == [[] for _ in stories]

    lives()
    print(reached)
    assert reached.total() >= batches * STORIES_AT_ONCE
    return reached


def test_no_process_survives_its_sandbox(stage: tuple[asyncio.Runner, Lab]) -> None:
    reached = _tell(stage, stories(_FULL_EXTENSIONS), FULL_BATCHES)
    assert all(reached[Reached(SandboxState.READY, extended, False)] for extended in (False, True))


def test_no_process_survives_a_sandbox_that_was_a_stem_cell(stage: tuple[asyncio.Runner, Lab]) -> None:
    runner, lab = stage
    first = lab.sandbox("")
    kind = kind_for(lab.runtime, spec_of(first))
    assert kind is not None
    cells = StemCells(lab.supervisor, base=STORIES_AT_ONCE, first=[kind])

    async def begin() -> asyncio.Task[None]:
        cells.take(kind)  # none is there; from now on as many are kept as live at once
        return asyncio.create_task(cells.keep())

    async def end(keeping: asyncio.Task[None]) -> list[str]:
        keeping.cancel()
        await asyncio.wait({keeping})
        await cells.close()
        parents = [parent for _, parent in lab.supervisor._tree._parents.values()]
        return [str(group) for parent in parents for group in parent.glob("cell-*")]

    plain, lab.services = lab.services, dataclasses.replace(lab.services, cells=cells)
    keeping = runner.run(begin())
    try:
        reached = _tell(stage, stories(st.just([])), CELL_BATCHES)
    finally:
        lab.services = plain
        left = runner.run(end(keeping))
    assert left == []
    assert reached[Reached(SandboxState.READY, False, True)] > reached.total() / 4
