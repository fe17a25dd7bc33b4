"""Telemetry: takes every event of a sandbox and hands it to those who subscribed to its kind.

Subscribing is possible during Init only, but a subscriber gets what happened before it too. After Init a sandbox that
nobody listens to is not `enabled`, and its events are not even made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from socket import socket
from typing import Any, NamedTuple

import orjson

from hearth.clock import iso_time, now_ms
from workers.sandbox.telemetry.subscriber import Subscriber
from workers.sandbox.telemetry.subscription import Subscription

#: events of an Init that are kept for those who subscribe later
_EARLY = 2000
#: what the Logs API knows of the platform
_LEGACY = frozenset(
    f"platform.{name}"
    for name in ("start", "end", "report", "runtimeDone", "fault", "extension", "logsSubscription", "logsDropped")
)
_LEGACY_ONLY = frozenset(("platform.end", "platform.logsSubscription", "platform.fault"))
Connect = Callable[[int], Awaitable[socket]]


class _Event(NamedTuple):
    category: str
    kind: str
    body: bytes


class Telemetry:
    """enabled: somebody listens, or may yet. open: subscriptions are taken."""

    def __init__(self, connect: Connect) -> None:
        """connect(port): a stream to a listener inside the sandbox; raises OSError."""
        self.enabled = self.open = True
        self._connect = connect
        self._early: list[_Event] = []
        self._subscribers: dict[str, Subscriber] = {}

    def platform(self, kind: str, record: dict[str, Any] | str, t_ms: int) -> None:
        """kind: `platform.start` and the like."""
        self._emit("platform", kind, record, t_ms)

    def line(self, category: str, text: str, t_ms: int, *, parse: bool) -> None:
        """A line of `function` or `extension`. parse: a JSON object becomes one, else it stays a string."""
        record: Any = text.rstrip("\n")
        if parse and record.startswith("{"):
            try:
                record = orjson.loads(record)
            except orjson.JSONDecodeError:
                parse = False
        self._emit(category, category, record, t_ms)

    def subscribe(self, name: str, subscription: Subscription) -> bool:
        """False: this extension has subscribed through the other API."""
        known = self._subscribers.get(name)
        if known is not None and known.subscription.legacy is not subscription.legacy:
            return False
        if known is not None:
            known.end()
        subscriber = self._subscribers[name] = Subscriber(subscription, self._connect)
        for event in self._early:
            self._pass(event, subscriber)
        kind = "platform.logsSubscription" if subscription.legacy else "platform.telemetrySubscription"
        types = sorted(subscription.categories)
        self.platform(kind, {"name": name, "state": "Subscribed", "types": types}, now_ms())
        return True

    @property
    def subscriptions(self) -> dict[str, Subscription]:
        return {name: one.subscription for name, one in self._subscribers.items()}

    def close_subscriptions(self) -> None:
        """Init has ended."""
        self.open = False
        self._early.clear()
        self.enabled = bool(self._subscribers)

    @property
    def pending(self) -> bool:
        """Something has not reached its subscriber."""
        return any(one.pending for one in self._subscribers.values())

    def flush(self) -> None:
        """Deliver now, whatever the buffering says."""
        for subscriber in self._subscribers.values():
            subscriber.flush()

    async def drained(self, limit_s: float) -> None:
        """Flush, and wait until everything was delivered, or for `limit_s`."""
        waits = [asyncio.ensure_future(one.drained()) for one in self._subscribers.values() if one.pending]
        if waits:
            self.flush()
            _, late = await asyncio.wait(waits, timeout=limit_s)
            for one in late:
                one.cancel()

    def close(self) -> None:
        """What was not delivered is lost, as its subscriber is."""
        self.enabled = self.open = False
        for subscriber in self._subscribers.values():
            subscriber.end()

    def _emit(self, category: str, kind: str, record: Any, t_ms: int) -> None:
        event = _Event(category, kind, orjson.dumps({"time": iso_time(t_ms), "type": kind, "record": record}))
        if self.open and len(self._early) < _EARLY:
            self._early.append(event)
        for subscriber in self._subscribers.values():
            self._pass(event, subscriber)

    @staticmethod
    def _pass(event: _Event, subscriber: Subscriber) -> None:
        subscription = subscriber.subscription
        if event.category not in subscription.categories:
            return
        known = (event.kind in _LEGACY) if subscription.legacy else (event.kind not in _LEGACY_ONLY)
        if event.category != "platform" or known:
            subscriber.add(event.body)
