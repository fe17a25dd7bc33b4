"""What a function's owner should know of its runtime, when it is created or changed.

AWS's answers have no member for it, so it comes as a header, which `hearth deploy` shows and other tools leave alone;
and it is in the gateway's log. A function whose runtime nobody offers is created all the same, as tools expect: workers
may come later. Its invocations are answered with InvalidRuntimeException until then.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from gateway.backends import living_workers
from gateway.call import Call
from hearth.model.runtime import fleet_offer, substitution

log = logging.getLogger(__name__)

HEADER = b"x-hearth-warning"


async def warn_of_runtime(call: Call, runtime: str) -> None:
    workers = await living_workers(call.backends.stores.coordination)
    text = notice(runtime, workers.values())
    if text:
        log.warning("runtime is not installed", extra={"action": "runtime_warning", "runtime": runtime, "notice": text})
        call.headers.append((HEADER, text.encode()))


def notice(runtime: str, workers: Iterable[Mapping[str, str]]) -> str:
    """Pure. "": it is installed, or no worker lives that could tell."""
    offer = fleet_offer(workers)
    served = offer.get(runtime)
    if not offer or (served is not None and served.exact):
        return ""
    if served is not None:
        return substitution(runtime, served.by)
    return f"No worker offers {runtime}: the function can't run yet. `hearth runtimes` lists what this fleet runs."
