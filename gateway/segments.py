"""Log and bill segments of workers on other hosts, taken in piece by piece (see hearth.logs.copies)."""

from __future__ import annotations

import asyncio
import hashlib
import time
from urllib.parse import unquote

import orjson

from gateway.backends import Backends
from gateway.http import Answer, Request
from gateway.protocols.rest_json import JSON
from hearth.links import SEGMENTS_PATH, segment_is_signed
from hearth.logs.copies import append_piece, is_segment

_TEXT = (b"content-type", b"text/plain")


async def take_in(backends: Backends, request: Request) -> Answer:
    """200 with {"size": bytes that are here now}; 403 for a link that isn't good; 507 if the disk refuses it."""
    offset, sha256, expires, signature = (
        request.parameters.get(name, [""])[0] for name in ("offset", "sha256", "expires", "signature")
    )
    name = unquote(request.path.removeprefix(SEGMENTS_PATH))
    good = (
        request.method == "PUT"
        and segment_is_signed(backends.secret, request.path, offset, sha256, expires, signature, now_s=time.time())
        and is_segment(name)
        and hashlib.sha256(request.body).hexdigest() == sha256
    )
    if not good:
        return Answer(403, b"This link is not valid, or not any more.\n", [_TEXT])
    try:
        size = await asyncio.to_thread(append_piece, backends.settings.blobs_dir, name, int(offset), request.body)
    except OSError as exc:
        return Answer(507, f"not stored: {exc.strerror}\n".encode(), [_TEXT])
    return Answer(200, orjson.dumps({"size": size}), [JSON])
