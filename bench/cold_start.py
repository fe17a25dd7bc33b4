"""Cold starts: the first request of a new function, out of a stem cell and as a full start, one after the other.

A full start is had by an environment variable that a runtime reads when it starts. Between two requests the platform is
left alone for as long as it takes to have a cell again.
"""

from __future__ import annotations

import asyncio
import io
import shutil
import subprocess
import tempfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from statistics import median

from bench.hearth_platform import Platform
from bench.load import run_load
from workers.runtimes import Runtime

#: a variable that is read at a runtime's start, and changes nothing
_FULL_START = {"LANGUAGE": "en"}
_REFILL_S = 1.0
#: an echo, in the way that each language writes JSON
_PYTHONS_PAYLOAD, _PAYLOAD = b'{"number": 1}', b'{"number":1}'
_JAVA = """package bench;
import java.util.Map;
public class Echo { public Map<String, Object> handle(Map<String, Object> event) { return event; } }
"""
_SOURCES = {
    "python": ("app.py", "def handler(event, context):\n    return event\n", "app.handler"),
    "nodejs": ("app.js", "exports.handler = async (event) => event;\n", "app.handler"),
}


@dataclass(frozen=True, slots=True)
class ColdFigures:
    """Request to response of `count` functions each: shortest, median and longest, ms."""

    runtime: str
    count: int
    cell_ms: tuple[float, float, float]
    full_ms: tuple[float, float, float]
    errors: dict[str, int]


async def measure(platform: Platform, offered: Sequence[Runtime], count: int) -> list[ColdFigures]:
    """For each runtime that has cells and for which a function can be built here."""
    figures = []
    for runtime in offered:
        built = await asyncio.to_thread(_package, runtime.family)
        if runtime.cell is not None and built is not None:
            figures.append(await _measure_one(platform, runtime.family, *built, count))
    return figures


async def _measure_one(platform: Platform, family: str, package: bytes, handler: str, count: int) -> ColdFigures:
    errors: Counter[str] = Counter()
    took_ms: dict[bool, list[float]] = {True: [], False: []}
    for number in range(-1, count):  # the first pair is not counted: it tells the worker what is asked for
        for full in (False, True):
            name = f"cold-{family.replace('.', '-')}-{number + 1}-{'full' if full else 'cell'}"
            more = {"MemorySize": 512, "Environment": {"Variables": _FULL_START if full else {}}}
            await platform.create(name, package, family, handler, **more)
            requests = platform.requests(name, [_PYTHONS_PAYLOAD if family.startswith("python") else _PAYLOAD])
            await asyncio.sleep(_REFILL_S)
            load = await run_load(platform.host, platform.port, requests, concurrency=1, count=1)
            errors.update(load.errors)
            if number >= 0:
                took_ms[full] += [one / 1e6 for one in load.latencies_ns]
            await platform.delete(name)
    cell, full_start = (
        (min(times), median(times), max(times)) for times in (took_ms[False] or [nan], took_ms[True] or [nan])
    )
    return ColdFigures(family, count, cell, full_start, dict(errors))


def table(figures: Sequence[ColdFigures]) -> str:
    """Markdown."""
    lines = [
        "| cold request → response, ms: min – median – max | functions | stem cell | full start |",
        "| --- | --- | --- | --- |",
    ]
    for one in figures:
        cells = (f"{least:.1f} – **{middle:.1f}** – {most:.1f}" for least, middle, most in (one.cell_ms, one.full_ms))
        lines.append(f"| {one.runtime} | {one.count} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _package(family: str) -> tuple[bytes, str] | None:
    """A zip file and its handler; None: there is no compiler for it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        language = next((one for one in _SOURCES if family.startswith(one)), None)
        if language is not None:
            name, text, handler = _SOURCES[language]
            archive.writestr(name, text)
        else:
            javac = shutil.which("javac")
            if not family.startswith("java") or javac is None:
                return None
            handler = "bench.Echo::handle"
            with tempfile.TemporaryDirectory() as folder:
                source = Path(folder, "Echo.java")
                source.write_text(_JAVA)
                subprocess.run([javac, "-d", folder, str(source)], check=True, timeout=60)
                archive.write(Path(folder, "bench", "Echo.class"), "bench/Echo.class")
    return buffer.getvalue(), handler
