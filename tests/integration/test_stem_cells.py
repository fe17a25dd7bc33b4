"""Functions out of stem cells: what they see is what a fresh process of the same function sees."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.lab import until
from tests.support.runtime_bench import Bench, returned, run
from workers.lifecycle.cell_start import kind_for
from workers.lifecycle.init import spec_of
from workers.sandbox.stem_cells import StemCells

_PYTHON = """
import os, sys, resource
def handler(event, context):
    return {
        "environment": dict(os.environ), "argv": sys.argv, "path": sys.path, "main": __import__("__main__").__file__,
        "here": [os.getcwd(), os.readlink("/proc/self/cwd"), sorted(os.listdir(".")), open("data.txt").read()],
        "opt": os.listdir("/opt"), "root": sorted(os.listdir("/")), "tmp": os.listdir("/tmp"),
        "descriptors": sorted(os.listdir("/proc/self/fd")), "ids": [os.getuid(), os.getpid(), os.getsid(0)],
        "files": resource.getrlimit(resource.RLIMIT_NOFILE), "status": [
            line for line in open("/proc/self/status") if line.startswith(("Cap", "NoNewPrivs", "Seccomp"))],
        "child": os.popen("env | sort; pwd").read().replace(os.environ["AWS_LAMBDA_LOG_STREAM_NAME"], ""),
    }
"""
_NODE = """
const fs = require('fs'), { execSync } = require('child_process');
exports.handler = async () => ({
  environment: { ...process.env }, argv: process.argv, execArgv: process.execArgv,
  here: [process.cwd(), fs.readlinkSync('/proc/self/cwd'), fs.readdirSync('.').sort()],
  file: fs.readFileSync('data.txt', 'utf8'),
  opt: fs.readdirSync('/opt'), tmp: fs.readdirSync('/tmp'), ids: [process.getuid(), process.pid],
  main: require.main, globals: Object.keys(globalThis).sort(),
  child: execSync('env | sort; pwd').toString().replace(process.env.AWS_LAMBDA_LOG_STREAM_NAME, ''),
});
"""


@pytest.fixture
async def bench(tmp_path: Path, data_dir: Path) -> AsyncIterator[Bench]:
    async with Bench.opened(tmp_path, data_dir) as bench:
        yield bench


def python(bench: Bench, source: str, **files: str) -> Path:
    return bench.package(app__py=source, **files)


def a_library() -> Path:
    return next(Path("/usr/lib").glob("*/libz.so.1"))


@pytest.mark.parametrize(
    ("family", "name", "source"), [("python3.11", "app__py", _PYTHON), ("nodejs", "app__js", _NODE)]
)
async def test_a_function_sees_the_same_as_in_a_fresh_process(
    bench: Bench, family: str, name: str, source: str
) -> None:
    code = bench.package(**{name: source, "data__txt": "mine"})
    given = {"environment": {"STAGE": "prod", "UMLAUT": "ü=ä", "EMPTY": ""}, "memory_mb": 192}
    seen: list[Any] = []
    for from_cell in (False, True):
        runtime = family if family in bench.offered else bench.newest(family)
        async with bench.sandbox(code, runtime, from_cell=from_cell, **given) as sandbox:
            seen.append(returned(await run(sandbox, {})))
            assert seen[-1]["environment"].pop("AWS_LAMBDA_LOG_STREAM_NAME") == sandbox.log.stream
    assert seen[0]["environment"]["UMLAUT"] == "ü=ä"
    assert seen[1] == seen[0]


async def test_a_cell_knows_nothing_before_it_is_a_functions(bench: Bench) -> None:
    source = "def handler(event, context): return open('/proc/self/environ').read().split('\\0')"
    async with bench.sandbox(python(bench, source), "python3.11", from_cell=True, environment={"A_KEY": "x"}) as one:
        names = {pair.partition("=")[0] for pair in returned(await run(one, {})) if pair}
    platform = {
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_XRAY_CONTEXT_MISSING",
        "AWS_XRAY_DAEMON_ADDRESS",
        "LANG",
        "LD_LIBRARY_PATH",
        "PATH",
        "PWD",
        "PYTHONPATH",
        "SHLVL",
        "TZ",
        "_LAMBDA_TELEMETRY_LOG_FD",
    }
    assert names == platform


async def test_layers_and_native_libraries_are_found(bench: Bench) -> None:
    """The loader looks once, when the interpreter starts, which directories of its search path there are."""
    found = a_library()
    code = python(bench, "import ctypes, layered\ndef handler(e, c): return [layered.NAME, ctypes.CDLL(e)._name]")
    layers = bench.root / "layers"
    for folder, name in ((code / "lib", "libfirst.so"), (layers / "lib", "libsecond.so")):
        folder.mkdir(parents=True)
        (folder / name).write_bytes(found.read_bytes())
    (layers / "python").mkdir()
    (layers / "python" / "layered.py").write_text("NAME = 'a layer'")
    async with bench.sandbox(code, "python3.11", from_cell=True, layers_dir=layers) as sandbox:
        assert returned(await run(sandbox, "libfirst.so")) == ["a layer", "libfirst.so"]
        assert returned(await run(sandbox, "libsecond.so")) == ["a layer", "libsecond.so"]


async def test_a_functions_module_comes_before_one_that_was_loaded_ahead(bench: Bench) -> None:
    code = bench.package(email__py="def handler(event, context): return __file__")
    async with bench.sandbox(code, "python3.11", from_cell=True, handler="email.handler") as sandbox:
        assert returned(await run(sandbox, {})) == "/var/task/email.py"


async def test_what_the_client_reads_when_it_is_loaded_is_the_functions(bench: Bench) -> None:
    code = python(bench, "import logging\ndef handler(e, c): logging.getLogger().error('said')")
    json_log = {"log_format": "JSON", "app_log_level": "INFO"}
    async with bench.sandbox(code, "python3.11", from_cell=True, **json_log) as sandbox:
        await run(sandbox, {})
    said = [json.loads(line) for line in (await bench.log(sandbox)).splitlines()]
    assert [line["message"] for line in said if line.get("level") == "ERROR"] == ["said"]


@pytest.mark.parametrize(
    ("family", "environment"),
    [
        ("python3.11", {"PYTHONDONTWRITEBYTECODE": "1"}),
        ("python3.11", {"TZ": "Europe/Vienna"}),
        ("python3.11", {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/wrapper"}),
        ("nodejs", {"NODE_OPTIONS": "--trace-warnings"}),
        ("nodejs", {"LD_PRELOAD": "/opt/lib/x.so"}),
        ("provided.al2023", {}),
    ],
)
async def test_what_must_be_there_at_the_start_needs_a_full_start(
    bench: Bench, family: str, environment: dict[str, str]
) -> None:
    code = bench.package(app__py="", bootstrap="#!/bin/sh")
    (code / "bootstrap").chmod(0o755)
    runtime = family if family in bench.offered else bench.newest(family)
    sandbox = bench.make(code, runtime, environment=environment)
    assert kind_for(sandbox.runtime, spec_of(sandbox)) is None


async def test_the_cells_own_memory_counts_and_the_limit_is_the_functions(bench: Bench) -> None:
    code = python(bench, "def handler(e, c): return len(bytearray(e << 20))")
    async with bench.sandbox(code, "python3.11", from_cell=True, memory_mb=256) as sandbox:
        assert returned(await run(sandbox, 150)) == 150 << 20
        sandbox.read_peak_mb()
        assert 150 < sandbox.peak_mb <= 256
        assert b"OutOfMemory" in (await run(sandbox, 300)).payload


async def test_the_log_of_a_cold_start_is_as_ever(bench: Bench) -> None:
    async with bench.sandbox(
        python(bench, "print('loaded')\ndef handler(e, c): pass"), "python3.11", from_cell=True
    ) as one:
        await run(one, {})
    lines = (await bench.log(one)).splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["INIT_START", "loaded", "START", "END", "REPORT"]
    assert "Init Duration: " in lines[-1]


async def test_a_cell_that_died_is_not_given_and_its_place_is_taken(bench: Bench) -> None:
    sandbox = bench.make(python(bench, ""), "python3.11")
    cells, kind = await bench.stocked(sandbox), kind_for(sandbox.runtime, spec_of(sandbox))
    assert kind is not None
    (cell,) = cells.ready(kind)
    os.kill(cell.process.pid, signal.SIGKILL)
    await cell.process.exited
    assert cells.take(kind) is None
    keeping = asyncio.create_task(cells.keep())
    await until(lambda: bool(cells.ready(kind)))
    keeping.cancel()
    taken = cells.take(kind)
    assert taken is not None
    assert taken is not cell
    await taken.process.stop()
    await cells.close()
    assert cells.count() == 0


async def test_a_cell_may_be_taken_while_another_ends(bench: Bench) -> None:
    sandbox = bench.make(python(bench, ""), "python3.11")
    kind = kind_for(sandbox.runtime, spec_of(sandbox))
    assert kind is not None
    cells = StemCells(bench.supervisor, base=2)
    assert cells.take(kind) is None
    keeping = asyncio.create_task(cells.keep())
    await until(lambda: len(cells.ready(kind)) == 2)
    keeping.cancel()
    closing = asyncio.create_task(cells.close())
    await asyncio.sleep(0)  # the first of them is about to end
    taken = cells.take(kind)
    await closing
    assert taken is not None
    assert taken.lives
    assert cells.count() == 0
    await taken.process.stop()
