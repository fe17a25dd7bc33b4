"""What a sandbox is put together from: a network namespace, with or without a way out, and a disk for its /tmp."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from workers.sandbox.isolation import syscalls
from workers.sandbox.isolation.disk import DiskMaker, discard
from workers.sandbox.isolation.network import make_network
from workers.sandbox.isolation.router import Router
from workers.sandbox.isolation.spec import PLATFORM_PORT, RUNTIME_API_PORT
from workers.sandbox.isolation.stock import Stock
from workers.sandbox.isolation.uplink import Uplink

_OPEN, _CLOSED = "open", "closed"  # kinds of networks


@dataclass(slots=True)
class Parts:
    """Of one sandbox: descriptors, and the number of its disk. disk: None for a /tmp in memory."""

    store: PartsStore
    way_out: bool
    namespace: int
    listeners: list[int]
    disk: int | None
    disk_number: int | None

    def keep_disk(self) -> int | None:
        """The sandbox runs: its disk, by number, is given up when it has ended, not by `close`."""
        number, self.disk_number = self.disk_number, None
        return number

    def close(self) -> None:
        """Let go of the descriptors, and of a disk that no sandbox has got."""
        for descriptor in (self.namespace, *self.listeners, *([] if self.disk is None else [self.disk])):
            os.close(descriptor)
        if self.disk_number is not None:
            self.store.give_up_disk(self.disk_number)


class PartsStore:
    """The spawner's. no_egress: why functions have no way out. no_disk: why /tmp takes their memory. Empty if it is
    otherwise, or was not asked for."""

    def __init__(self, setup: dict[str, Any], uplink: Uplink | None, ends: list[int]) -> None:
        """ends: descriptors that the makers must not hold open. Raises OSError if there can be no namespaces."""
        self.no_egress = self.no_disk = ""
        self._uplink = uplink
        self._router: Router | None = None
        self._nft = setup["egress"]["nft"] if setup["egress"] else ""
        self._disks: Stock | None = None
        self._ends = ends
        syscalls.unshare(syscalls.CLONE_NEWNET)
        syscalls.loopback_up()
        if uplink is not None:
            self._make_router(uplink, setup["egress"], root=setup["root"])
        self._make_networks(setup)
        if setup["disks"] is not None:
            self._make_disks(setup["disks"], setup["disk_mb"], setup["pool"])

    def take(self, *, way_out: bool, disk_mb: int | None) -> Parts:
        """Made ahead, or now. Raises OSError."""
        way_out = way_out and self._router is not None
        _, (namespace, *listeners) = self._networks.take(_OPEN if way_out else _CLOSED)
        number = disk = None
        if self._disks is not None and disk_mb is not None:
            # No room, or no loop device: then this one's /tmp takes memory, as on hosts that have no disks at all.
            with contextlib.suppress(OSError):
                number, (disk,) = self._disks.take(str(disk_mb))
        return Parts(self, way_out, namespace, listeners, disk, number)

    def give_up_disk(self, number: int) -> None:
        """Its sandbox has ended."""
        if self._disks is not None:
            self._disks.give_up(number)

    def watched(self) -> dict[int, Callable[[], bool]]:
        """What to call when a descriptor becomes readable; False: a helper has died."""
        watched: dict[int, Callable[[], bool]] = {stock.channel.fileno(): stock.receive for stock in self._stocks}
        if self._uplink is not None:
            watched[self._uplink.channel.fileno()] = self._follow_addresses
        return watched

    @property
    def full(self) -> bool:
        return all(stock.full for stock in self._stocks)

    def top_up(self) -> None:
        for stock in self._stocks:
            stock.top_up()

    # --- private --------------------------------------------------------------------------------------------
    @property
    def _stocks(self) -> list[Stock]:
        return [self._networks, *([] if self._disks is None else [self._disks])]

    def _make_router(self, uplink: Uplink, egress: dict[str, Any], *, root: bool) -> None:
        """The network namespace just entered becomes the router; where that fails, functions have no way out."""
        try:
            never = [*(uplink.host_addresses() or []), *egress["never"]]
            router = Router(self._nft, never=never, allowed=egress["allowed"])
            user_namespace = None if root else os.open("/proc/self/ns/user", os.O_RDONLY | os.O_CLOEXEC)
            uplink.begin(router.namespace, router.dns, user_namespace)
            router.wait_for_uplink()
        except OSError as exc:
            self.no_egress = str(exc)
            uplink.channel.close()
            self._uplink = None
        else:
            self._router = router
            self._ends.append(uplink.channel.fileno())

    def _make_networks(self, setup: dict[str, Any]) -> None:
        router, ports = self._router, (RUNTIME_API_PORT, PLATFORM_PORT)[: 1 + setup["platform"]]

        def make(kind: str) -> list[int]:
            return make_network(ports, router if kind == _OPEN else None)

        self._networks = Stock(make, None, theirs=self._ends)
        self._ends.append(self._networks.channel.fileno())
        self._networks.keep(_OPEN if router is not None and setup["egress"]["ahead"] else _CLOSED, setup["pool"])

    def _make_disks(self, folder: str, usual_mb: int, count: int) -> None:
        try:
            maker = DiskMaker(folder)
            disks = Stock(lambda kind: [maker.make(int(kind))], lambda parts: discard(parts[0]), theirs=self._ends)
            number, parts = disks.take(str(usual_mb))  # refused here and now, or never
        except OSError as exc:
            self.no_disk = str(exc)
            return
        os.close(parts[0])
        disks.give_up(number)
        disks.keep(str(usual_mb), count)
        self._disks = disks

    def _follow_addresses(self) -> bool:
        """Close the host's new addresses to functions. False: the uplink has died, or they could not be closed."""
        addresses = self._uplink.host_addresses() if self._uplink else None
        if addresses is None or self._router is None:
            return False
        try:
            self._router.refuse(self._nft, addresses)
        except OSError:
            return False
        return True
