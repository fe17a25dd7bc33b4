"""Sandboxes of unpacked packages on this host's runtimes, without broker and stores, and what they wrote."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import orjson

from hearth.logs import LogReader, LogWriter
from hearth.model.function import FunctionVersion
from hearth.model.invocation import Invocation, InvocationResult, Outcome
from hearth.settings import Settings
from tests.conftest import missing
from workers import runtimes
from workers.billing import BillWriter
from workers.lifecycle.cell_start import kind_for
from workers.lifecycle.init import spec_of
from workers.runtimes import Runtime
from workers.sandbox.sandbox import Sandbox, Services
from workers.sandbox.stem_cells import StemCells
from workers.sandbox.supervisor import Supervisor

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"


#: what a session has looked through once
_PREPARED: set[Path] = set()


@dataclass
class Bench:
    root: Path
    supervisor: Supervisor
    services: Services
    offered: dict[str, Runtime]

    @classmethod
    @asynccontextmanager
    async def opened(cls, root: Path, data: Path) -> AsyncIterator[Self]:
        """root: an empty folder. data: a HEARTH_DATA with prepared runtimes."""
        settings = Settings(data=data)
        if data not in _PREPARED:
            await runtimes.prepare(settings, print)
            _PREPARED.add(data)
        supervisor = await Supervisor.create(want="auto", platform=None, pool=2, log=logging.getLogger(__name__))
        logs, bills = LogWriter(root / "blobs"), BillWriter(root / "blobs")
        yield cls(root, supervisor, Services(logs, bills, lambda version, sandbox_id: {}), runtimes.offered(settings))
        await logs.close()
        await bills.close()
        await supervisor.close()

    def make(
        self, code: Path, family: str, *, init_s: float = 10.0, layers_dir: Path | None = None, **version: Any
    ) -> Sandbox:
        given = {"timeout_s": 10, "handler": "app.handler"} | version
        handler = given.pop("handler")
        return Sandbox(
            FunctionVersion(
                "key", "000000000000", "us-east-1", "f", "$LATEST", family, handler, "role", "0" * 64, **given
            ),
            code_dir=code,
            layers_dir=layers_dir,
            runtime=self.offered[family],
            supervisor=self.supervisor,
            services=replace(self.services, init_s=init_s),
        )

    @asynccontextmanager
    async def sandbox(
        self, code: Path, family: str, *, from_cell: bool = False, **options: Any
    ) -> AsyncIterator[Sandbox]:
        """Initialised; from_cell: out of a stem cell booted for it. options: of `make`."""
        made = self.make(code, family, **options)
        if from_cell:
            made.services = replace(made.services, cells=await self.stocked(made))
        await made.initialize()
        if made.services.cells is not None:
            assert made.services.cells.count() == 0, "it was not taken"
        try:
            yield made
        finally:
            await made.shutdown("spindown")

    async def stocked(self, sandbox: Sandbox) -> StemCells:
        """One cell of the kind that a sandbox takes."""
        kind = kind_for(sandbox.runtime, spec_of(sandbox))
        assert kind is not None, "it has no cells"
        cells = StemCells(self.supervisor, base=1, first=[kind])
        keeping = asyncio.create_task(cells.keep())
        while cells.count() < 1:
            assert not keeping.done()
            await asyncio.sleep(0.01)
        keeping.cancel()
        return cells

    def newest(self, language: str) -> str:
        """The newest installed family of a language."""
        families = [
            family for family, one in self.offered.items() if family.startswith(language) and not one.stands_for
        ]
        if not families:
            missing(f"no {language} runtime on this host")
        return max(families, key=lambda family: [int(part) for part in re.findall(r"\d+", family.partition(".al")[0])])

    async def log(self, sandbox: Sandbox) -> str:
        await self.services.logs.close()
        events = LogReader(self.root / "blobs").events(*sandbox.log.key, sandbox.log.stream)
        return "".join(event.message for event in events)

    def package(self, **files: str) -> Path:
        """A folder with these files; `__` in a name is a dot."""
        code = self.root / uuid.uuid4().hex
        code.mkdir()
        for name, content in files.items():
            (code / name.replace("__", ".")).write_text(content)
        return code


async def run(sandbox: Sandbox, event: Any, **more: Any) -> InvocationResult:
    sent = Invocation(
        str(uuid.uuid4()), "key", invoked_arn=ARN, family="", payload=orjson.dumps(event), gives_up_at_ms=0, **more
    )
    return await sandbox.invoke(sent)


def returned(result: InvocationResult) -> Any:
    assert result.outcome is Outcome.OK, result.payload
    return json.loads(result.payload)


def failed(result: InvocationResult) -> dict[str, Any]:
    assert result.outcome is Outcome.FUNCTION_ERROR, result.payload[:200]
    document: dict[str, Any] = json.loads(result.payload)
    return document
