"""What all gateways have counted against a rate, added up in `coordination`."""

from __future__ import annotations

from collections.abc import Mapping

from redis.exceptions import RedisError

from hearth.errors import Unavailable
from hearth.store import keys
from hearth.store.client import Store

#: of a total that nobody adds to
_LIFE_S = 60


async def add(coordination: Store, counts: Mapping[str, int]) -> dict[str, int]:
    """counts: whose rate -> requests counted since the last time; the totals of all gateways since some time.

    A total that is lost, or was not asked for in a minute, begins again at nothing. Raises Unavailable.
    """
    pipe = coordination.redis.pipeline(transaction=False)
    for whose, count in counts.items():
        pipe.incrby(keys.requests(whose), count)
        pipe.expire(keys.requests(whose), _LIFE_S)
    try:
        answers = await pipe.execute()
    except RedisError as exc:
        raise Unavailable(f"coordination did not answer: {exc}") from exc
    return dict(zip(counts, map(int, answers[::2]), strict=True))
