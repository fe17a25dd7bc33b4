"""Packages by signed link: what GetFunction's `Code.Location` leads to."""

from __future__ import annotations

import asyncio
import re
import time

from gateway.backends import Backends
from gateway.http import Answer, Request
from hearth.credentials import link_is_good
from hearth.links import CODE_PATH

_SHA256 = re.compile(r"[0-9a-f]{64}")
_FORBIDDEN = Answer(403, b"This link is not valid, or not any more.\n", [(b"content-type", b"text/plain")])


async def download(backends: Backends, request: Request) -> Answer:
    sha256 = request.path.removeprefix(CODE_PATH)
    expires = request.parameters.get("expires", [""])[0]
    signature = request.parameters.get("signature", [""])[0]
    good = (
        _SHA256.fullmatch(sha256)
        and expires.isdecimal()
        and link_is_good(backends.secret, request.path, int(expires), signature, now_s=time.time())
    )
    if not good:
        return Answer(_FORBIDDEN.status, _FORBIDDEN.body, list(_FORBIDDEN.headers))
    try:
        data = await asyncio.to_thread(backends.blobs.path(sha256).read_bytes)
    except FileNotFoundError:
        return Answer(404, b"No such package.\n", [(b"content-type", b"text/plain")])
    return Answer(200, data, [(b"content-type", b"application/zip")])
