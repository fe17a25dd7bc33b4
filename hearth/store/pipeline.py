"""Commands of many tasks sent together: what is asked while an answer is under way leaves as one pipeline.

With `appendfsync always` a pipeline costs the server one fsync for all that it writes, so the more there is to do, the
less each of it costs (group commit).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.exceptions import NoScriptError, RedisError, ResponseError

from hearth.errors import Unavailable
from hearth.store import script
from hearth.store.client import Store

#: commands in one pipeline: an answer for the first must not wait for thousands
MAX_COMMANDS = 256

_Waiting = tuple[asyncio.Future[Any], tuple[Any, ...]]


class Pipeline:
    """`run()` is its life, in a task of its owner's."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[_Waiting] = []
        self._some = asyncio.Event()
        self._over = False
        #: round trips made, and commands in them
        self.trips = 0
        self.commands = 0

    async def call(self, *command: Any, within_s: float = 0) -> Any:
        """The command's answer. within_s: it may wait so long for others to leave with.

        Raises Unavailable; a write may have been done then.
        """
        if self._over:
            raise Unavailable(f"the connection to {self._store.name} is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((future, command))
        if within_s:
            loop.call_later(within_s, self._some.set)
        else:
            self._some.set()
        return await future  # bounded by the store's own time-out

    async def script(self, name: str, keys: Sequence[str], args: Sequence[Any], *, within_s: float = 0) -> Any:
        """Run `lua/<name>.lua`. Raises Unavailable."""
        one = script.load(name)
        try:
            return await self.call("EVALSHA", one.sha1, len(keys), *keys, *args, within_s=within_s)
        except NoScriptError:  # a fresh or flushed server
            return await self.call("EVAL", one.source, len(keys), *keys, *args)

    async def run(self) -> None:
        try:
            while True:
                await self._some.wait()  # no deadline: the life of the process
                batch, self._waiting = self._waiting[:MAX_COMMANDS], self._waiting[MAX_COMMANDS:]
                if not self._waiting:
                    self._some.clear()
                if batch:  # what was patient may have left already
                    await self._send(batch)
        finally:
            self._over = True
            for future, _ in self._waiting:  # nobody else will answer them
                future.cancel()

    async def _send(self, batch: list[_Waiting]) -> None:
        pipeline = self._store.redis.pipeline(transaction=False)
        for _, command in batch:
            pipeline.execute_command(*command)
        self.trips += 1
        self.commands += len(batch)
        try:
            answers = await pipeline.execute(raise_on_error=False)
        except (RedisError, OSError) as exc:
            answers = [exc] * len(batch)
        except BaseException:  # cancelled: nobody else will answer them
            for future, _ in batch:
                future.cancel()
            raise
        for (future, _), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, NoScriptError):
                future.set_exception(answer)
            elif isinstance(answer, (RedisError, OSError)):
                kind = "refused" if isinstance(answer, ResponseError) else "did not answer"
                future.set_exception(Unavailable(f"{self._store.name} {kind}: {answer}"))
            else:
                future.set_result(answer)
