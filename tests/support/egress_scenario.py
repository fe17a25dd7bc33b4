# ruff: noqa: ASYNC110, ASYNC240 (a test program: polling and small waits are fine in it)
"""What functions reach with each egress, asked on the host that `egress_host` makes.

python -m tests.support.egress_scenario -> one JSON object on standard output
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.support.egress_host import ADD_PORT, ALLOWED, BROKER, HOST, LATE, METADATA, OUTSIDE, PORT, PRIVATE
from tests.support.sandbox_runs import a_spec, run
from tests.support.sandbox_traces import descendants, names
from workers.sandbox.supervisor import Egress, EgressPolicy, SpawnFailed, Supervisor

_TARGETS = {
    "the outside world": OUTSIDE,
    "the broker": BROKER,
    "a private network": PRIVATE,
    "an allowed private address": ALLOWED,
    "the cloud's metadata": METADATA,
    "the host's own address": HOST,
    "the host's loopback": "127.0.0.1",
    "the router": "100.64.0.1",
    "the uplink's gateway": "100.127.255.2",
}
_TCP = """
import json, os, socket
def tcp(address, family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(20)
        connection.connect((address, 8080))
        return connection.recv(100).decode()
def tried(action, *arguments):
    try:
        return action(*arguments)
    except OSError as exc:
        return f"refused: {exc}"
"""
_PROBE = (
    _TCP
    + """
def udp(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(20)
        sender.sendto(b"x", (address, 8080))
        return sender.recv(100).decode()
def raw(_):
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    return "made"
found = {name: tried(tcp, address) for name, address in json.loads(os.environ["TARGETS"]).items()}
found["a datagram outside"] = tried(udp, "203.0.113.5")
found["by name"] = tried(tcp, "outside.test")
found["IPv6"] = tried(tcp, "2001:db8::1", socket.AF_INET6)
found["a raw socket"] = tried(raw, "")
found["the platform"] = "AWS_ENDPOINT_URL" in os.environ and tried(
    lambda: socket.create_connection(("127.0.0.1", 4566), 60).close() or "reached")
print(json.dumps(found))
"""
)
_LISTEN = """
import socket
server = socket.create_server(("0.0.0.0", 8080))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
    route.connect(("203.0.113.5", 9))
    print(route.getsockname()[0], flush=True)
while True:
    connection, _ = server.accept()
    connection.sendall(b"sandbox")
    connection.close()
"""


async def _asked(supervisor: Supervisor, code: Path, egress: Egress, **more: str) -> dict[str, Any]:
    environment = {"TARGETS": json.dumps(_TARGETS | {name.replace("_", " "): more[name] for name in more})}
    _, text, _ = await run(supervisor, a_spec(f"asks-{egress}", code, _PROBE, environment=environment, egress=egress))
    return json.loads(text.splitlines()[-1])


def _from_the_host() -> dict[str, str]:
    """The control: from here, all of it can be reached."""
    found = {}
    for name in ("the outside world", "the broker", "a private network", "the cloud's metadata"):
        with socket.create_connection((_TARGETS[name], PORT), timeout=5) as connection:
            found[name] = connection.recv(100).decode()
    return found


async def main() -> dict[str, Any]:
    policy = EgressPolicy(never=(BROKER,), allowed=(ALLOWED,))
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder)
        code.chmod(0o755)
        async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0) as platform:
            host, port = platform.sockets[0].getsockname()
            before = _settings()
            log = logging.getLogger("scenario")
            supervisor = await Supervisor.create(want="auto", platform=(host, port), pool=2, log=log, egress=policy)
            try:
                found = await _found(supervisor, code)
                return found | {"settings changed": before != _settings()}
            finally:
                pids = descendants(os.getpid())
                await supervisor.close()
                give_up_at = time.monotonic() + 60
                while any(Path(f"/proc/{pid}").exists() for pid in pids):
                    assert time.monotonic() < give_up_at, names()
                    await asyncio.sleep(0.01)


async def _found(supervisor: Supervisor, code: Path) -> dict[str, Any]:
    if supervisor.no_egress:
        return {"no_egress": supervisor.no_egress}
    other = await supervisor.spawn(a_spec("other", code, _LISTEN, egress=Egress.OPEN))
    async with asyncio.timeout(60):
        while not (address := await _text(other.output_fd)):
            await asyncio.sleep(0.01)
    socket.create_connection(("127.0.0.1", ADD_PORT)).close()
    async with asyncio.timeout(60):
        while not _answers(LATE):
            await asyncio.sleep(0.01)
    await _heard(supervisor, code, LATE, "refused")  # it is told of the new address by the kernel
    more = {"another_sandbox": address, "the_host's_new_address": LATE}
    reached = {str(egress): await _asked(supervisor, code, egress, **more) for egress in Egress}
    await other.stop()
    helper = next(pid for pid, name in names() if "slirp4netns --" in name)
    os.kill(helper, 9)
    again = await _heard(supervisor, code, OUTSIDE, "this is")  # it is started again after a second
    return {"no_egress": "", "reached": reached, "from the host": _from_the_host(), "after the helper's death": again}


async def _heard(supervisor: Supervisor, code: Path, address: str, wanted: str) -> str:
    """Ask an address from sandboxes with a way out until they hear what begins so; what was heard last."""
    script = f"{_TCP}print(tried(tcp, {address!r}))"
    give_up_at, number = time.monotonic() + 60, 0
    while True:
        number += 1
        try:
            heard = (await run(supervisor, a_spec(f"asks-{number}", code, script, egress=Egress.OPEN)))[1].strip()
        except SpawnFailed as exc:  # the spawner ends with its helper
            heard = str(exc)
        if heard.startswith(wanted) or time.monotonic() > give_up_at:
            return heard
        await asyncio.sleep(0.1)


def _answers(address: str) -> bool:
    try:
        socket.create_connection((address, PORT)).close()
    except OSError:
        return False
    return True


async def _text(descriptor: int) -> str:
    try:
        return os.read(descriptor, 100).decode().strip()
    except BlockingIOError:
        return ""


def _settings() -> list[str]:
    """The host's settings that a router might want to change, and its links."""
    files = ("ipv4/ip_forward", "ipv4/conf/all/forwarding", "ipv4/conf/out/forwarding", "ipv4/conf/all/rp_filter")
    return [Path("/proc/sys/net", file).read_text() for file in files] + [name for _, name in socket.if_nameindex()]


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    print(json.dumps(asyncio.run(main())), flush=True)
