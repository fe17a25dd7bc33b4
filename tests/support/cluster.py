"""Several private broker nodes of one cluster, driven from tests that are not asynchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

from hearth.embedded.rabbitmq import VHOST, RabbitMQ, RabbitMQCluster
from hearth.embedded.stackfile import StackFile

_START_S = 240.0
_STOP_S = 30.0

T = TypeVar("T")


class BrokerCluster:
    """A context: the nodes run in it. A thread with an event loop of its own starts, watches and stops them."""

    def __init__(self, data: Path, count: int = 3) -> None:
        self._data = data
        self._count = count
        self._loop = asyncio.new_event_loop()
        # the nodes end with this thread, should pytest be killed
        self._thread = threading.Thread(target=self._loop.run_forever, name="broker-cluster", daemon=True)
        self._nodes: RabbitMQCluster

    def __enter__(self) -> Self:
        self._thread.start()
        home = self._data / "brokers"
        self._nodes = RabbitMQCluster(home, StackFile(home), lambda *_: None, count=self._count)
        try:
            self._run(self._nodes.start(), _START_S)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._run(self._nodes.stop(_STOP_S), 2 * _STOP_S)
        finally:
            self._end()

    @property
    def url(self) -> str:
        return self._nodes.url

    def kill(self, node: str) -> None:
        """kill -9 of the node."""

        async def kill() -> None:
            unit = self._unit(node)
            unit.kill()
            await unit.stop(0.0)

        self._run(kill(), _STOP_S)

    def start(self, node: str) -> None:
        """Start a killed node again; returns when it takes connections."""
        self._run(self._unit(node).start(), _START_S)

    def home_of(self, queue: str) -> str:
        """The node on which a classic queue lives."""
        return next(_node_in(pid) for name, pid in self._list("queues", "name", "pid") if name == queue)

    def queues(self, prefix: str) -> list[str]:
        return [name for (name,) in self._list("queues", "name") if name.startswith(prefix)]

    def nodes_of(self, name: str) -> set[str]:
        """The nodes that clients whose connection name begins like this are connected to."""
        rows = self._list("connections", "pid", "client_properties")
        return {_node_in(pid) for pid, properties in rows if f'"connection_name","{name}' in properties}

    def _list(self, what: str, *columns: str) -> list[list[str]]:
        """Rows of `rabbitmqctl list_<what>`. Not as JSON: that leaves the node out of process ids."""
        living = next(unit for unit in self._nodes.nodes if unit.pid is not None)
        of_host = ("--vhost", VHOST) if what == "queues" else ()
        text = self._run(living.control(f"list_{what}", *columns, *of_host, "--no-table-headers"), _START_S)
        return [line.split("\t") for line in text.splitlines()]

    def _unit(self, node: str) -> RabbitMQ:
        return next(unit for unit in self._nodes.nodes if unit.node == node)

    def _run(self, work: Coroutine[Any, Any, T], within_s: float) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(within_s)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _node_in(pid: str) -> str:
    """`<hearth1@localhost.1700000000.812.0>` -> `hearth1@localhost`."""
    return pid.strip("<>").rsplit(".", 3)[0]
