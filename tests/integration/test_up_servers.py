"""The embedded servers: private, on the loopback only, and their data lasts."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

import pika
import pytest
import redis
from pika.exceptions import ProbableAuthenticationError

from tests.support import places
from tests.support.processes import descendants
from tests.support.servers import PrivateServers


def own_processes(servers: PrivateServers) -> set[int]:
    """RabbitMQ, its epmd and helpers, and both Valkeys."""
    return {pid for pid, _ in descendants(servers.parent_pid)}


def listening_addresses(pids: set[int]) -> set[str]:
    """Local addresses, in /proc/net's hexadecimal, of the sockets that these processes listen on."""
    inodes = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for fd in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    inodes.add(os.readlink(fd).removeprefix("socket:[").removesuffix("]"))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.add(fields[1].split(":")[0])
    return found


def test_servers_listen_on_the_loopback_only(servers: PrivateServers) -> None:
    loopback = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
    found = listening_addresses(own_processes(servers))
    assert found
    assert found <= loopback


def test_broker_has_no_guest(servers: PrivateServers) -> None:
    parameters = pika.URLParameters(servers.broker_url)
    parameters.credentials = pika.PlainCredentials("guest", "guest")
    with pytest.raises(ProbableAuthenticationError):
        pika.BlockingConnection(parameters)


def test_stores_refuse_commands_without_the_password(servers: PrivateServers) -> None:
    for url in (servers.state_url, servers.coordination_url):
        host = url.rpartition("@")[2]
        with redis.Redis.from_url(f"redis://{host}") as client, pytest.raises(redis.AuthenticationError):
            client.get("key")


def test_state_is_synced_and_neither_store_evicts(servers: PrivateServers) -> None:
    with redis.Redis.from_url(servers.state_url, decode_responses=True) as state:
        assert state.config_get("append*")["appendonly"] == "yes"
        assert state.config_get("append*")["appendfsync"] == "always"
        assert state.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    with redis.Redis.from_url(servers.coordination_url, decode_responses=True) as coordination:
        assert coordination.config_get("append*")["appendonly"] == "no"


def test_passwords_stand_on_no_command_line_and_in_no_file_that_others_read(servers: PrivateServers) -> None:
    passwords = [url.partition("@")[0].rpartition(":")[2].encode() for url in servers.environ().values()]
    for pid in own_processes(servers):
        with contextlib.suppress(FileNotFoundError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            assert not any(password in command for password in passwords)
    n = len(servers.data.parts)  # a file is as closed as the most closed folder above it, below the data folder
    for path in servers.data.rglob("*"):
        if path.is_file() and not path.is_relative_to(servers.data / "runtimes") and path.stat().st_size < 10**6:
            holds = any(password in path.read_bytes() for password in passwords)
            way = [path, *(folder for folder in path.parents if folder.is_relative_to(servers.data / path.parts[n]))]
            assert not holds or any(not stat.S_IMODE(one.stat().st_mode) & 0o077 for one in way), path


def test_data_survive_a_restart_and_so_do_the_passwords(servers: PrivateServers) -> None:
    with places.data_folder() as data:
        with PrivateServers(data) as first:
            with redis.Redis.from_url(first.state_url) as state:
                state.set("kept", "yes")
            with contextlib.closing(pika.BlockingConnection(pika.URLParameters(first.broker_url))) as connection:
                channel = connection.channel()
                channel.confirm_delivery()
                channel.queue_declare("kept", durable=True)
                channel.basic_publish("", "kept", b"still here", pika.BasicProperties(delivery_mode=2))
            urls = first.environ()
        with PrivateServers(data) as second:
            assert second.environ() == urls
            with redis.Redis.from_url(second.state_url) as state:
                assert state.get("kept") == b"yes"
            with contextlib.closing(pika.BlockingConnection(pika.URLParameters(second.broker_url))) as connection:
                assert connection.channel().basic_get("kept", auto_ack=True)[2] == b"still here"
