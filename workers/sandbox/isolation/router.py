"""The way out of sandboxes with egress `open`: one network namespace per worker that routes, filters and translates.

    sandbox eth0 (100.64.x.y) -- veth -- s<n> [router namespace: nftables] up0 -- slirp4netns -- the host's sockets

The host's own settings stay as they are: no forwarding, no firewall rule, no link. Seen from the host, functions'
traffic is that of an ordinary program (`uplink.py`). All of it vanishes with the spawner and the last sandbox.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workers.sandbox.isolation import syscalls
from workers.sandbox.isolation.netlink import Netlink

#: The sandboxes' side, in the range set aside for translated networks (RFC 6598).
GATEWAY = "100.64.0.1"
UPLINK, UPLINK_NETWORK = "up0", "100.127.255.0/24"
MTU = 65_520  # the uplink's most: nothing in between is a real wire
_FIRST, _LAST = 2, 65_000
#: Link indexes are chosen, not looked up; the kernel itself counts from 1.
_INDEX_BASE = 1000
_SANDBOX_LINK = 2
_READY_S = 6.0  # some milliseconds, but on a busy host

#: never: the host's own addresses, broker, state. allowed: exceptions from what is closed by default.
_RULES = """
table ip hearth {
  set never { type ipv4_addr; flags interval; auto-merge; %(never)s }
  set allowed { type ipv4_addr; flags interval; auto-merge; %(allowed)s }
  set closed { type ipv4_addr; flags interval; auto-merge; %(closed)s }
  chain inbound {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    iifname "s*" ip daddr %(gateway)s udp dport 53 accept
    iifname "s*" ip daddr %(gateway)s tcp dport 53 accept
    iifname "s*" reject with icmp type admin-prohibited
  }
  chain through {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    ct state invalid drop
    iifname "s*" oifname "s*" reject with icmp type admin-prohibited
    iifname "s*" ip daddr @never reject with icmp type admin-prohibited
    iifname "s*" ip daddr @allowed accept
    iifname "s*" ip daddr @closed reject with icmp type admin-prohibited
    iifname "s*" accept
  }
  chain outbound { type nat hook postrouting priority 100; oifname "%(uplink)s" masquerade; }
}
table ip6 hearth {
  chain inbound { type filter hook input priority 0; policy drop; }
  chain through { type filter hook forward priority 0; policy drop; }
  chain outbound { type filter hook output priority 0; policy drop; }
}
"""
#: Private, link-local (cloud metadata), loopback, shared, multicast and reserved ranges.
CLOSED = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
    *("192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3"),
)


class Router:
    """Made once, in a network namespace of its own that the caller has just entered.

    namespace: a descriptor of it. dns: sockets (UDP, TCP listener) at the gateway's port 53.
    """

    def __init__(self, nft: str, *, never: Iterable[str], allowed: Iterable[str]) -> None:
        """Raises OSError with the kernel's or nft's words."""
        self.namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        settings = Path("/proc/sys/net")
        for name in ("all", "default"):
            with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
                (settings / f"ipv6/conf/{name}/disable_ipv6").write_text("1")
            (settings / f"ipv4/conf/{name}/rp_filter").write_text("1")
        (settings / "ipv4/ip_forward").write_text("1")
        values = {"never": _elements(never), "allowed": _elements(allowed), "closed": _elements(CLOSED)}
        _apply(nft, _RULES % {**values, "gateway": GATEWAY, "uplink": UPLINK})
        self._netlink = Netlink()
        # On `lo`, so that it is there before the first sandbox and stays after the last.
        self._netlink.add_address(1, GATEWAY)
        self._netlink.commit()
        self.dns = _dns_sockets()
        self._next = _FIRST

    def wait_for_uplink(self) -> None:
        """Until there is a way out. Only while the caller is in this namespace. Raises OSError."""
        give_up_at = time.monotonic() + _READY_S
        while UPLINK not in Path("/proc/self/net/route").read_text():
            if time.monotonic() > give_up_at:
                raise OSError("slirp4netns could not give the router its way out")
            time.sleep(0.002)

    def refuse(self, nft: str, addresses: Iterable[str]) -> None:
        """More addresses that functions must never reach. Only while the caller is in this namespace."""
        _apply(nft, f"add element ip hearth never {{ {', '.join(addresses)} }}")

    def connect(self, namespace: int) -> None:
        """Give the network namespace that the caller is in (`namespace`) its link and its default route."""
        with contextlib.suppress(FileNotFoundError):
            Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")
        number = self._next
        # Old links are gone long before the numbers start again; if one is not, the kernel says so.
        self._next = number + 1 if number < _LAST else _FIRST
        index, address = _INDEX_BASE + number, _address(number)
        ours = self._netlink
        peer: dict[str, Any] = {"peer": "eth0", "peer_index": _SANDBOX_LINK, "peer_namespace": namespace}
        ours.add_veth(f"s{number}", index, mtu=MTU, **peer)
        ours.set_up(index)
        ours.add_route(index, address)
        ours.commit()
        inside = Netlink()
        try:
            inside.add_address(_SANDBOX_LINK, address)
            inside.set_up(_SANDBOX_LINK)
            inside.add_route(_SANDBOX_LINK, GATEWAY)
            inside.add_route(_SANDBOX_LINK, gateway=GATEWAY)
            inside.commit()
        finally:
            inside.close()


def _address(number: int) -> str:
    return f"100.64.{number >> 8}.{number & 255}"


def _elements(addresses: Iterable[str]) -> str:
    listed = ", ".join(addresses)
    return f"elements = {{ {listed} }};" if listed else ""


def _apply(nft: str, rules: str) -> None:
    try:
        result = subprocess.run(
            [nft, "-f", "-"],
            input=rules,
            capture_output=True,
            text=True,
            timeout=10,
            preexec_fn=lambda: syscalls.keep_over_exec(syscalls.CAP_NET_ADMIN),
        )
    except subprocess.TimeoutExpired as exc:
        raise OSError("nft does not end") from exc
    if result.returncode != 0:
        raise OSError(f"nft: {(result.stderr.strip().splitlines() or ['refused'])[0]}")


def _dns_sockets() -> tuple[socket.socket, socket.socket]:
    queries = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    queries.bind((GATEWAY, 53))
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.bind((GATEWAY, 53))
    listener.listen(16)
    return queries, listener
