"""Streamed responses, measured: how soon the first byte is there, and what 200 MB cost in memory.

`python -m tests.load.streaming`: against a platform of its own, without AWS's limit of bandwidth. The first byte is
compared with a warm invoke of the same function in the same minutes, in turns.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.environment import commit, machine
from tests.support import places
from tests.support.functions import zip_of
from tests.support.processes import children
from tests.support.servers import PrivateServers
from tests.support.stack import PlatformStack
from tests.support.web import open_to_all

#: writes as many MB as the query says, at the caller's pace: a small piece, then pieces of 64 KB
SOURCE = """
exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  stream.setContentType("application/octet-stream");
  const first = "first", block = Buffer.alloc(65536, "x");
  stream.write(first);
  let left = (Number(event.queryStringParameters?.mb ?? 0) << 20) - first.length;
  for (; left > 0; left -= block.length) {
    const piece = left < block.length ? block.subarray(0, left) : block;
    if (!stream.write(piece)) await new Promise((resolve) => stream.once("drain", resolve));
  }
  stream.end();
});
"""
MB = 1 << 20
ROUNDS = 200
_SAMPLE_S = 0.02
_READ_S = 300.0


@dataclass(frozen=True, slots=True)
class Streamed:
    """grown: kind of process -> bytes of memory that it had more at its peak than before."""

    received: int
    seconds: float
    grown: dict[str, int]


class Streamer:
    """The function and its URL on a platform that has no limit of bandwidth."""

    def __init__(self, stack: PlatformStack) -> None:
        self._stack = stack
        self.name = stack.deploy(
            None,
            zip_of(None, index__js=SOURCE),
            Runtime="nodejs20.x",
            Handler="index.handler",
            Timeout=120,
            MemorySize=512,
        )
        made = stack.client("lambda").create_function_url_config(
            FunctionName=self.name, AuthType="NONE", InvokeMode="RESPONSE_STREAM"
        )
        open_to_all(stack, self.name)
        self.host = urlsplit(made["FunctionUrl"]).netloc
        endpoint = urlsplit(stack.endpoint)
        path = f"/2015-03-31/functions/{self.name}/invocations"
        self._signed = AWSRequest("POST", f"{stack.endpoint}{path}", data=b"{}", headers={"Host": endpoint.netloc})
        SigV4Auth(Credentials("test", "test"), "lambda", "us-east-1").add_auth(self._signed)

    def stream(self, megabytes: int, *, pace: Callable[[int], None] = lambda _: None) -> Streamed:
        """Read it all by the URL. pace: called after every MB with how many there are, to read slowly."""
        with self._watched() as grown, self._open(f"/?mb={megabytes}") as answer:
            began_s, received = time.monotonic(), 0
            while piece := answer.read(MB):
                received += len(piece)
                pace(received // MB)
        return Streamed(received, time.monotonic() - began_s, grown)

    def first_byte_s(self) -> float:
        began_s = time.monotonic()
        with self._open("/") as answer:
            answer.read1(1)
            took_s = time.monotonic() - began_s
            answer.read()
        return took_s

    def invoke_s(self) -> float:
        """A warm invoke of the same function by a client that costs nothing: signed once, a connection each time."""
        began_s = time.monotonic()
        with self._open(urlsplit(self._signed.url).path, "POST", dict(self._signed.headers.items())) as answer:
            answer.read()
            return time.monotonic() - began_s

    @contextmanager
    def _open(
        self, path: str, method: str = "GET", headers: dict[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self._stack.port, timeout=_READ_S)
        try:
            body = b"{}" if method == "POST" else None
            connection.request(method, path, body, {"Host": self.host} | (headers or {}))
            yield connection.getresponse()
        finally:
            connection.close()

    @contextmanager
    def _watched(self) -> Iterator[dict[str, int]]:
        """Memory of gateways and workers, sampled while the context lasts; the figures are there at its end."""
        pids = {"gateway": children(self._stack.pids("gateway")[0]), "worker": self._stack.pids("worker")}
        before = {pid: _resident(pid) for kind in pids.values() for pid in kind}
        peak, stop = dict(before), threading.Event()

        def sample() -> None:
            while not stop.wait(_SAMPLE_S):
                for pid in peak:
                    peak[pid] = max(peak[pid], _resident(pid))

        sampling = threading.Thread(target=sample, name="memory")
        sampling.start()
        grown: dict[str, int] = {}
        try:
            yield grown
        finally:
            stop.set()
            sampling.join()
            grown |= {kind: max(peak[pid] - before[pid] for pid in of) for kind, of in pids.items()}


def _resident(pid: int) -> int:
    """Bytes; 0 if the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)


@contextmanager
def platform() -> Iterator[PlatformStack]:
    """One of its own, so that every process watched serves this and nothing else."""
    with (
        places.data_folder() as folder,
        PrivateServers(folder) as servers,
        PlatformStack(folder, servers, stream_bytes_per_second=0) as stack,
    ):
        yield stack


def main() -> int:
    with platform() as stack:
        streamer = Streamer(stack)
        for _ in range(20):
            streamer.invoke_s(), streamer.first_byte_s()
        invokes, firsts = [], []
        for _ in range(ROUNDS):
            invokes.append(streamer.invoke_s())
            firsts.append(streamer.first_byte_s())
        streamed = streamer.stream(200)
    figures = {
        "warm invoke, ms (p50)": round(median(invokes) * 1000, 2),
        "first byte by URL, ms (p50)": round(median(firsts) * 1000, 2),
        "first byte / warm invoke": round(median(firsts) / median(invokes), 2),
        "200 MB, s": round(streamed.seconds, 2),
        "memory grown, MB": {kind: round(size / MB, 1) for kind, size in streamed.grown.items()},
        "machine": machine(),
        "commit": commit(places.ROOT),
    }
    print(json.dumps(figures, indent=2, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main())
