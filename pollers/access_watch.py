"""While a mapping's units run: stops them once its function may not read the source any more."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping

from hearth.errors import AccessDenied, HearthError
from hearth.model.mapping import EventSourceMapping
from pollers.source_access import SourceAccess

log = logging.getLogger(__name__)

#: how often it is looked whether roles or functions have changed
_EVERY_S = 2.0


class AccessWatch:
    """`running()`: the mappings of which units run here, by uuid."""

    def __init__(self, access: SourceAccess, running: Callable[[], Mapping[str, EventSourceMapping]]) -> None:
        self._access = access
        self._running = running
        #: when to judge anew what a mapping's source itself decides
        self._again_at_s: dict[str, float] = {}

    async def judge(self, mapping: EventSourceMapping) -> None:
        """As a unit of it begins. Raises what `SourceAccess.check` does."""
        again_s = await self._access.check(mapping)
        if again_s is None:
            self._again_at_s.pop(mapping.uuid, None)
        else:
            self._again_at_s[mapping.uuid] = time.monotonic() + again_s

    async def run(self, stop: Callable[[str], None]) -> None:
        """Until cancelled. `stop(uuid)` ends the units of a mapping; as they begin anew they are refused."""
        judged: tuple[int, int] | None = None
        while True:  # the life of the process
            await asyncio.sleep(_EVERY_S)
            with contextlib.suppress(HearthError):  # what runs goes on
                epoch = await self._access.epoch()
                running = self._running()
                self._again_at_s = {uuid: at_s for uuid, at_s in self._again_at_s.items() if uuid in running}
                if epoch != judged:
                    known = [await self._still_known(mapping, stop) for mapping in running.values()]
                    judged = epoch if all(known) else None
                    continue
                now_s = time.monotonic()
                for uuid in [uuid for uuid, at_s in self._again_at_s.items() if at_s <= now_s]:
                    await self._still_known(running[uuid], stop)

    async def _still_known(self, mapping: EventSourceMapping, stop: Callable[[str], None]) -> bool:
        """False: whether it may read is not to be known now, so it goes on."""
        try:
            await self.judge(mapping)
        except AccessDenied:
            stop(mapping.uuid)
        except Exception as exc:  # one mapping's source must not end the others
            log.warning("access not judged", extra={"action": "access_not_judged", "error": str(exc) or repr(exc)})
            return False
        return True
