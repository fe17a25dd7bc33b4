"""The few requests to the kernel's rtnetlink that links and routes need, by hand: the spawner has no site-packages.

Source: rtnetlink(7), and the kernel's linux/rtnetlink.h, linux/if_link.h, linux/veth.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct

_NLMSG_ERROR = 2
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_REPLACE, _NLM_F_EXCL, _NLM_F_CREATE = 1, 4, 0x100, 0x200, 0x400
_RTM_NEWLINK, _RTM_DELLINK, _RTM_NEWADDR, _RTM_NEWROUTE = 16, 17, 20, 24
_IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 3, 4, 18, 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_RT_TABLE_MAIN, _RTPROT_STATIC, _RTN_UNICAST = 254, 4, 1
_SCOPE_UNIVERSE, _SCOPE_LINK = 0, 253
_IFF_UP = 1
_NLA_F_NESTED = 0x8000
_ANSWER_BYTES = 65_536


class Netlink:
    """A socket to rtnetlink; it stays with the network namespace in which it was made, wherever its owner goes.

    Requests are collected and go to the kernel in one write with `commit`.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._pending: list[bytes] = []

    def close(self) -> None:
        self._socket.close()

    def add_veth(self, name: str, index: int, *, peer: str, peer_index: int, peer_namespace: int, mtu: int) -> None:
        """A pair of links: one end here, `peer` in another network namespace, given by a descriptor of it."""
        size = _attribute(_IFLA_MTU, struct.pack("=I", mtu))
        other = _link(peer_index) + _text(_IFLA_IFNAME, peer) + size
        other += _attribute(_IFLA_NET_NS_FD, struct.pack("=I", peer_namespace))
        data = _attribute(_VETH_INFO_PEER | _NLA_F_NESTED, other)
        info = _text(_IFLA_INFO_KIND, "veth") + _attribute(_IFLA_INFO_DATA | _NLA_F_NESTED, data)
        body = _link(index) + _text(_IFLA_IFNAME, name) + size + _attribute(_IFLA_LINKINFO | _NLA_F_NESTED, info)
        self._add(_RTM_NEWLINK, _NLM_F_CREATE | _NLM_F_EXCL, body)

    def delete_link(self, index: int) -> None:
        self._add(_RTM_DELLINK, 0, _link(index))

    def set_up(self, index: int) -> None:
        self._add(_RTM_NEWLINK, 0, _link(index, up=True))

    def add_address(self, index: int, address: str) -> None:
        """One address with no network around it."""
        packed = socket.inet_aton(address)
        body = struct.pack("=BBBBi", socket.AF_INET, 32, 0, _SCOPE_UNIVERSE, index)
        body += _attribute(_IFA_LOCAL, packed) + _attribute(_IFA_ADDRESS, packed)
        self._add(_RTM_NEWADDR, _NLM_F_CREATE | _NLM_F_REPLACE, body)

    def add_route(self, index: int, address: str | None = None, *, gateway: str | None = None) -> None:
        """To one address, or to everything (None); without a gateway what it leads to is on the link itself."""
        scope = _SCOPE_LINK if gateway is None else _SCOPE_UNIVERSE
        fixed = (socket.AF_INET, 0 if address is None else 32, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, scope)
        body = struct.pack("=BBBBBBBBI", *fixed, _RTN_UNICAST, 0)
        if address is not None:
            body += _attribute(_RTA_DST, socket.inet_aton(address))
        if gateway is not None:
            body += _attribute(_RTA_GATEWAY, socket.inet_aton(gateway))
        body += _attribute(_RTA_OIF, struct.pack("=i", index))
        self._add(_RTM_NEWROUTE, _NLM_F_CREATE | _NLM_F_EXCL, body)

    def commit(self) -> None:
        """Send what was collected. Raises OSError for the first request that the kernel refuses; others may hold."""
        requests, self._pending = self._pending, []
        self._socket.send(b"".join(requests))
        left, refused = len(requests), 0
        while left:
            for code in _answers(self._socket.recv(_ANSWER_BYTES)):
                left -= 1
                refused = refused or code
        if refused:
            raise OSError(refused, f"rtnetlink: {os.strerror(refused)}")

    def _add(self, kind: int, flags: int, body: bytes) -> None:
        flags |= _NLM_F_REQUEST | _NLM_F_ACK
        self._pending.append(struct.pack("=IHHII", 16 + len(body), kind, flags, len(self._pending) + 1, 0) + body)


def _answers(data: bytes) -> list[int]:
    """The errno of each acknowledgement, 0 for success."""
    codes, at = [], 0
    while at < len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        if kind == _NLMSG_ERROR:
            codes.append(-struct.unpack_from("=i", data, at + 16)[0])
        if length < 16:
            raise OSError(errno.EPROTO, "rtnetlink: an answer without a length")
        at += length + 3 & ~3
    return codes


def _link(index: int, *, up: bool = False) -> bytes:
    flags = _IFF_UP if up else 0
    return struct.pack("=BBHiII", socket.AF_UNSPEC, 0, 0, index, flags, _IFF_UP if up else 0)


def _attribute(kind: int, data: bytes) -> bytes:
    padding = b"\0" * (-len(data) % 4)
    return struct.pack("=HH", 4 + len(data), kind) + data + padding


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode() + b"\0")
