"""The gateway as a worker on another host uses it: it gives code packages, and takes log and bill segments in.

Everything goes by links that the platform's secret signs (hearth.links). Blocking: for use in threads.
"""

from __future__ import annotations

import hashlib
import time

import orjson
import urllib3

from hearth import links
from hearth.errors import Unavailable

#: a cold start waits for its package through a gateway's restart, but not for long
_RETRY = urllib3.Retry(total=4, backoff_factor=0.25, status_forcelist=(502, 503), allowed_methods=None)
_TIMEOUT = urllib3.Timeout(connect=3.0, read=30.0)


class GatewayLink:
    """url: of the gateway's API, http://host:port."""

    def __init__(self, url: str, secret: bytes) -> None:
        self._url = url.rstrip("/")
        self._secret = secret
        self._pool = urllib3.PoolManager(maxsize=4, timeout=_TIMEOUT)

    def package(self, sha256: str) -> bytes:
        """A code package; its hash is the caller's to verify. Raises Unavailable."""
        return self._request("GET", links.code_path(self._secret, sha256, now_s=time.time()), retries=_RETRY)

    def append(self, name: str, offset: int, data: bytes) -> int:
        """Send a piece of a segment; how much of it the gateway has now (hearth.logs.copies). Raises Unavailable."""
        digest = hashlib.sha256(data).hexdigest()
        path = links.segment_path(self._secret, name, offset, digest, now_s=time.time())
        return int(orjson.loads(self._request("PUT", path, data))["size"])

    def close(self) -> None:
        self._pool.clear()

    def _request(
        self, method: str, path: str, body: bytes | None = None, *, retries: urllib3.Retry | bool = False
    ) -> bytes:
        try:
            answer = self._pool.request(method, self._url + path, body=body, retries=retries)
        except urllib3.exceptions.HTTPError as exc:
            raise Unavailable(f"the gateway at {self._url} did not answer: {exc}") from exc
        if answer.status != 200:
            raise Unavailable(f"the gateway at {self._url} answered {answer.status}: {answer.data[:200]!r}")
        return answer.data
