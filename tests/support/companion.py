"""The companion server (moto) that `hearth up --with` starts, for tests: on the port that the platform was told."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from hearth.embedded import companion
from hearth.embedded.process import end_with

#: services that test platforms expect on the companion's port; others have no server. Streams: those that are not here
SERVICES = (
    "s3", "sqs", "sns", "events", "secretsmanager", "athena", "kinesis", "dynamodbstreams", "bedrock", "eks",
    "elasticmapreduce", "emr-containers", "emr-serverless",
)  # fmt: skip
_START_S = 60.0


class CompanionServer:
    """A context. It is installed on the first use (half a minute), then kept in the cache."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.endpoint = f"http://127.0.0.1:{port}"

    def __enter__(self) -> Self:
        asyncio.run(companion.install(lambda _: None))
        argv, environ = companion.command(self.port, "000000000000", "us-east-1")
        self._process = subprocess.Popen(
            argv,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=end_with(os.getpid(), signal.SIGKILL),
        )
        until = time.monotonic() + _START_S
        while True:
            try:
                urllib.request.urlopen(f"{self.endpoint}/moto-api/", timeout=5).close()
                return self
            except OSError:
                if self._process.poll() is not None or time.monotonic() > until:
                    self.__exit__()
                    raise
                time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    @contextmanager
    def slow(self, kind: str) -> Iterator[None]:
        """Meanwhile its resources of that kind ("athena::execution") stay in their first state."""
        self._transition("set", model_name=kind, transition={"progression": "manual", "times": 1_000_000})
        try:
            yield
        finally:
            self._transition("unset", model_name=kind)

    def _transition(self, what: str, **body: Any) -> None:
        url = f"{self.endpoint}/moto-api/state-manager/{what}-transition"
        request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")
        urllib.request.urlopen(request, timeout=10).close()

    def client(self, service: str) -> Any:
        """A boto3 client of the server itself, past the platform."""
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
