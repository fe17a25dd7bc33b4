"""What egress is made of, as far as it is pure: addresses, resolvers, settings, the tag."""

from __future__ import annotations

import pytest

from gateway.lambda_api.configuration import egress_of
from hearth.errors import InvalidParameterValue
from hearth.settings import BadSettings, Settings
from workers.__main__ import egress_policy
from workers.sandbox.isolation.disk import _length_of
from workers.sandbox.isolation.dns import resolvers
from workers.sandbox.isolation.uplink import local_addresses

_FIB_TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.0
           /24 link UNICAST
        |-- 192.0.2.2
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
"""


def test_hosts_own_addresses_are_those_that_the_kernel_takes_as_local() -> None:
    assert local_addresses(_FIB_TRIE) == ["127.0.0.1", "192.0.2.2"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("search example\nnameserver 10.0.0.1\n# nameserver 10.0.0.9\nnameserver fd00::1\n", ["10.0.0.1", "fd00::1"]),
        ("nameserver\noptions edns0\n", ["127.0.0.1"]),
    ],
)
def test_resolvers_are_the_hosts_or_the_host_itself(text: str, found: list[str]) -> None:
    assert resolvers(text) == found


@pytest.mark.parametrize("size_mb", [64, 512, 1024, 10_240])
def test_image_is_larger_than_the_room_it_is_to_have_by_a_few_percent(size_mb: int) -> None:
    assert size_mb * 1.01 < _length_of(size_mb) / 2**20 < size_mb * 1.15


def test_tag_is_what_it_says_or_refused() -> None:
    assert egress_of({}) == ""
    assert egress_of({"hearth:egress": "off", "team": "a"}) == "off"
    with pytest.raises(InvalidParameterValue, match="must be one of open, platform, off, not none"):
        egress_of({"hearth:egress": "none"})


def test_allowed_networks_that_are_none_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTH_EGRESS_ALLOW", "10.1.2.0/24,the-database")
    with pytest.raises(BadSettings, match=r"HEARTH_EGRESS_ALLOW.*the-database"):
        Settings.load()


async def test_broker_and_state_are_closed_wherever_they_are() -> None:
    settings = Settings(
        broker_url="amqp://user:secret@198.51.100.7:5672/,amqp://user:secret@198.51.100.8:5672/",
        state_url="redis://localhost:6379/0",
        coordination_url="redis://no-such-host.invalid:6379/0",
        egress="platform",
        egress_allow="10.1.2.0/24, 192.168.7.9",
    )
    policy = await egress_policy(settings)
    assert policy.never == ("127.0.0.1", "198.51.100.7", "198.51.100.8")
    assert policy.allowed == ("10.1.2.0/24", "192.168.7.9")
    assert policy.usual == "platform"
